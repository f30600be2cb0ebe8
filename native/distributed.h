// What the files share that let processes compute together.
#pragma once

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <atomic>
#include <chrono>
#include <memory>

#include "handles.h"

namespace stec {

// What another library adds to a group. It is destroyed before the group's own connections are closed.
struct Companion {
  virtual ~Companion() = default;
  // Throws where what is computed together cannot be trusted any more.
  virtual void check() = 0;
};

// The processes that compute together, and the time that this one has spent waiting for the others.
struct Group {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroup> processes;
  std::chrono::milliseconds timeout;
  std::atomic<int64_t> waited_nanoseconds{0};
  std::unique_ptr<Companion> companion;

  // Waits until a collective is done; what ran on a GPU makes only its stream wait.
  void wait(const c10::intrusive_ptr<c10d::Work>& work) {
    const auto start = std::chrono::steady_clock::now();
    if (work) work->wait();
    waited_nanoseconds += std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count();
  }

  // Breaks the connections, from any thread: whatever waits for another process fails, here and there.
  void break_connections() noexcept;

  c10d::Backend& backend_of(const at::Tensor& tensor) {
    if (companion) companion->check();
    return *processes->getBackend(tensor.device().type());
  }

  int64_t size() const { return processes->getSize(); }

  // Sums a tensor over all processes, in place.
  void sum_(const at::Tensor& tensor);

  // The tensors of all processes as the rows of one: (size, ...).
  at::Tensor gather(const at::Tensor& tensor);
};

STEC_API HandleTable<c10::intrusive_ptr<c10d::Store>, 2>& stores();
STEC_API HandleTable<std::shared_ptr<Group>, 3>& groups();

}  // namespace stec
