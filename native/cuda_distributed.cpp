// NCCL beside Gloo: what processes compute together on GPUs.

#define USE_C10D_NCCL

#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/util/env.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <mutex>

#include "distributed.h"
#include "guard.h"
#include "peer_watch.h"
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

// libtorch's constructor fills in what NCCL's header says to be the configuration's size. If libtorch was built with another
// version of that header than this file, it writes past the end of the options: they are first made where there is room.
void check_nccl_version() {
  using Options = c10d::ProcessGroupNCCL::Options;
  constexpr size_t kRoom = 1 << 16;
  alignas(Options) static unsigned char room[sizeof(Options) + kRoom];
  static const size_t size = (new (room) Options(/*is_high_priority_stream=*/true))->config.size;
  TORCH_CHECK(size == sizeof(ncclConfig_t), "NCCL's header, of version ", NCCL_MAJOR, ".", NCCL_MINOR,
              ", is not the one that libtorch was built with; run `deno task setup` with NVIDIA's wheels");
}

class Nccl : public Companion {
 public:
  Nccl(Group& group, c10::DeviceIndex device) {
    check_nccl_version();
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
    watch_ = std::make_unique<PeerWatch>(*group.processes->getBackend(at::kCPU), [this](int peer, const std::string& why) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (lost_.empty()) lost_ = c10::str("NCCL: the connection to rank ", peer, " broke: ", why);
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
