// Who notices that another process is gone while this one waits for something else.
#pragma once

#include <ATen/ops/empty.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace stec {

// Notices at once that another process is gone. NCCL would wait for it until the time-out, and so would whoever waits for
// the GPU; but a connection of Gloo breaks when either of its ends is closed or killed. So one thread for each process
// waits on its connection for a message that nobody sends.
class PeerWatch {
 public:
  PeerWatch(c10d::Backend& gloo, std::function<void(int, const std::string&)> lost) : lost_(std::move(lost)) {
    try {
      for (int peer = 0; peer < gloo.getSize(); ++peer) {
        if (peer == gloo.getRank()) continue;
        std::vector<at::Tensor> message{at::empty({1})};
        const auto work = works_.emplace_back(gloo.recv(message, peer, kTag));
        threads_.emplace_back([this, peer, work] { wait(peer, *work); });
      }
    } catch (...) {
      stop();
      throw;
    }
  }

  ~PeerWatch() { stop(); }

 private:
  // Far from the tags of other messages.
  static constexpr int kTag = 0x57EC;

  void stop() {
    ending_ = true;
    for (const auto& work : works_) work->abort();
    for (auto& thread : threads_) thread.join();
  }

  void wait(int peer, c10d::Work& work) noexcept {
    try {
      // A time-out of its own: Gloo's would close all connections when it is over.
      work.wait(std::chrono::hours(24 * 365));
    } catch (const std::exception& error) {
      report(peer, error.what());
    } catch (...) {
      report(peer, "for an unknown reason");
    }
  }

  void report(int peer, const std::string& why) noexcept {
    if (ending_) return;
    try {
      lost_(peer, why);
    } catch (...) {
      // Whoever waits for the GPU now waits for NCCL's own time-out.
    }
  }

  std::function<void(int, const std::string&)> lost_;
  std::atomic<bool> ending_{false};
  std::vector<c10::intrusive_ptr<c10d::Work>> works_;
  std::vector<std::thread> threads_;
};

}  // namespace stec
