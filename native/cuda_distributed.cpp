// NCCL beside Gloo: what processes compute together on GPUs.

#define USE_C10D_GLOO
#define USE_C10D_NCCL

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/util/env.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <exception>
#include <mutex>
#include <thread>

#include "distributed.h"
#include "guard.h"
#include "stec_cuda.h"

namespace stec {
namespace {

// By default NCCL's threads end the process when a collective fails or does not end in time. Here they only abandon it:
// whoever waits for the GPU goes on, and the next thing that the processes compute together fails with a message.
void let_errors_return() {
  const bool overwrite = false;
  for (const auto& [name, value] : {std::pair{"TORCH_NCCL_ASYNC_ERROR_HANDLING", "2"},
                                    {"TORCH_NCCL_RETHROW_CUDA_ERRORS", "0"},
                                    {"TORCH_NCCL_ENABLE_MONITORING", "0"},
                                    {"TORCH_NCCL_DUMP_ON_TIMEOUT", "0"}}) {
    c10::utils::set_env(name, value, overwrite);
  }
}

// Notices at once that another process is gone. NCCL would wait for it until the time-out, and so would whoever waits for
// the GPU; but a connection of Gloo breaks when either of its ends is closed or killed. So one thread for each process
// waits on its connection for a message that nobody sends.
class PeerWatch {
 public:
  PeerWatch(c10d::Backend& gloo, std::function<void(const std::string&)> lost) : lost_(std::move(lost)) {
    for (int peer = 0; peer < gloo.getSize(); ++peer) {
      if (peer == gloo.getRank()) continue;
      std::vector<at::Tensor> message{at::empty({1})};
      const auto work = gloo.recv(message, peer, kTag);
      works_.push_back(work);
      threads_.emplace_back([this, peer, work] { wait(peer, *work); });
    }
  }

  ~PeerWatch() {
    ending_ = true;
    for (const auto& work : works_) work->abort();
    for (auto& thread : threads_) thread.join();
  }

 private:
  // Far from the tags of other messages.
  static constexpr int kTag = 0x57EC;

  void wait(int peer, c10d::Work& work) noexcept {
    try {
      // A time-out of its own: Gloo's would close all connections when it is over.
      work.wait(std::chrono::hours(24 * 365));
    } catch (const std::exception& error) {
      report(c10::str("NCCL: the connection to rank ", peer, " broke: ", error.what()));
    } catch (...) {
      report(c10::str("NCCL: the connection to rank ", peer, " broke"));
    }
  }

  void report(const std::string& reason) noexcept {
    if (ending_) return;
    try {
      lost_(reason);
    } catch (...) {
      // Whoever waits for the GPU now waits for NCCL's own time-out.
    }
  }

  std::function<void(const std::string&)> lost_;
  std::atomic<bool> ending_{false};
  std::vector<c10::intrusive_ptr<c10d::Work>> works_;
  std::vector<std::thread> threads_;
};

class Nccl : public Companion {
 public:
  Nccl(Group& group, c10::DeviceIndex device) {
    const auto options = c10d::ProcessGroupNCCL::Options::create(/*is_high_priority_stream=*/true);
    options->timeout = group.timeout;
    const auto prefixed = c10::make_intrusive<c10d::PrefixStore>("nccl", group.store);
    const int rank = group.processes->getRank(), size = group.processes->getSize();
    backend_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(prefixed, rank, size, options);
    try {
      backend_->eagerConnectSingleDevice(at::Device(at::kCUDA, device));
    } catch (...) {
      abandon();
      throw;
    }
    group.processes->setBackend(at::kCUDA, c10d::ProcessGroup::NCCL, c10::intrusive_ptr<c10d::Backend>(backend_));
    watch_ = std::make_unique<PeerWatch>(*group.processes->getBackend(at::kCPU), [this](const std::string& reason) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (lost_.empty()) lost_ = reason;
      }
      abandon();
    });
  }

  ~Nccl() override {
    watch_.reset();
    // All that was computed together has been read by now, or is not wanted any more.
    abandon();
  }

  void check() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      TORCH_CHECK(lost_.empty(), lost_);
    }
    switch (backend_->getError()) {
      case c10d::ErrorType::SUCCESS:
        return;
      case c10d::ErrorType::TIMEOUT:
        TORCH_CHECK(false, "NCCL: timed out waiting for the other processes");
      default:
        TORCH_CHECK(false, "NCCL: the connection to another process broke");
    }
  }

 private:
  // Ends what runs, so that nobody waits for it any longer.
  void abandon() noexcept {
    std::call_once(abandoned_, [this] {
      try {
        backend_->abort();
      } catch (const std::exception& error) {
        TORCH_WARN("NCCL could not be stopped: ", error.what());
      } catch (...) {
        TORCH_WARN("NCCL could not be stopped");
      }
    });
  }

  c10::intrusive_ptr<c10d::ProcessGroupNCCL> backend_;
  std::once_flag abandoned_;
  std::mutex mutex_;
  std::string lost_;
  std::unique_ptr<PeerWatch> watch_;
};

}  // namespace
}  // namespace stec

using namespace stec;

int32_t stec_cuda_join(double group, int32_t device) {
  STEC_GUARD(STEC_FAILED, {
    const int32_t count = c10::cuda::device_count();
    TORCH_CHECK(device >= 0 && device < count, "there is no GPU ", device, ": GPUs found: ", count);
    const auto joining = groups().get(group);
    TORCH_CHECK(!joining->companion, "this process group has joined a GPU already");
    const auto index = static_cast<c10::DeviceIndex>(device);
    const c10::cuda::CUDAGuard guard(index);
    let_errors_return();
    joining->companion = std::make_unique<Nccl>(*joining, index);
    return 0;
  })
}
