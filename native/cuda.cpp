// GPUs: which there are, their memory, and what cuDNN and cuBLAS may do.

#include <ATen/Context.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>

#include <algorithm>
#include <cstring>

#include "guard.h"
#include "stec_cuda.h"

namespace {

c10::DeviceIndex checked(int32_t device) {
  const int32_t count = c10::cuda::device_count();
  TORCH_CHECK(device >= 0 && device < count, "there is no GPU ", device, ": GPUs found: ", count);
  return static_cast<c10::DeviceIndex>(device);
}

template <size_t N>
std::string hexadecimal(const char (&bytes)[N]) {
  std::string digits;
  for (const char byte : bytes) {
    constexpr const char* of = "0123456789abcdef";
    digits += {of[static_cast<unsigned char>(byte) >> 4], of[byte & 15]};
  }
  return digits;
}

// The allocator counts a GPU's memory only once it has been set up; all its counts are 0 before.
c10::CachingDeviceAllocator::DeviceStats memory_of(c10::DeviceIndex device) {
  at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
  return c10::cuda::CUDACachingAllocator::getDeviceStats(device);
}

}  // namespace

uint32_t stec_cuda_abi_version(void) { return STEC_CUDA_ABI_VERSION; }

int32_t stec_cuda_devices(void) {
  STEC_GUARD(STEC_FAILED, { return c10::cuda::device_count(); })
}

int32_t stec_cuda_describe(int32_t device, uint8_t* out, uint32_t capacity) {
  STEC_GUARD(STEC_FAILED, {
    const auto* gpu = at::cuda::getDeviceProperties(checked(device));
    std::string name = gpu->name;
    std::replace_if(name.begin(), name.end(), [](char c) { return c == '"' || c == '\\' || c < ' '; }, '_');
    const std::string text = c10::str(R"({"name":")", name, R"(","major":)", gpu->major, R"(,"minor":)", gpu->minor,
                                      R"(,"memory":)", gpu->totalGlobalMem, R"(,"multiprocessors":)",
                                      gpu->multiProcessorCount, R"(,"uuid":")", hexadecimal(gpu->uuid.bytes), R"("})");
    std::memcpy(out, text.data(), std::min<size_t>(text.size(), capacity));
    return static_cast<int32_t>(text.size());
  })
}

int32_t stec_cuda_set_device(int32_t device) {
  STEC_GUARD(STEC_FAILED, {
    c10::cuda::set_device(checked(device));
    return 0;
  })
}

int32_t stec_cuda_synchronize(int32_t device) {
  STEC_GUARD(STEC_FAILED, {
    const c10::cuda::CUDAGuard guard(checked(device));
    c10::cuda::device_synchronize();
    return 0;
  })
}

int32_t stec_cuda_memory(int32_t device, uint8_t* out, double bytes) {
  STEC_GUARD(STEC_FAILED, {
    const auto stats = memory_of(checked(device));
    const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    const auto& tensors = stats.allocated_bytes[all];
    const auto& taken = stats.reserved_bytes[all];
    const c10::cuda::CUDAGuard guard(checked(device));
    size_t free = 0, total = 0;
    C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    const double numbers[] = {
        static_cast<double>(tensors.current), static_cast<double>(tensors.peak),
        static_cast<double>(taken.current), static_cast<double>(taken.peak), static_cast<double>(free)};
    TORCH_CHECK(bytes == sizeof numbers, "memory statistics are ", sizeof numbers, " bytes, not ", bytes);
    std::memcpy(out, numbers, sizeof numbers);
    return 0;
  })
}

int32_t stec_cuda_reset_peak(int32_t device) {
  STEC_GUARD(STEC_FAILED, {
    const auto index = checked(device);
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    c10::cuda::CUDACachingAllocator::resetPeakStats(index);
    return 0;
  })
}

int32_t stec_cuda_empty_cache(void) {
  STEC_GUARD(STEC_FAILED, {
    if (c10::cuda::device_count() > 0) c10::cuda::CUDACachingAllocator::emptyCache();
    return 0;
  })
}

int32_t stec_cuda_set_benchmark(uint32_t enabled) {
  STEC_GUARD(STEC_FAILED, {
    at::globalContext().setBenchmarkCuDNN(enabled != 0);
    return 0;
  })
}

int32_t stec_cuda_set_tf32(uint32_t enabled) {
  STEC_GUARD(STEC_FAILED, {
    at::globalContext().setAllowTF32CuBLAS(enabled != 0);
    at::globalContext().setAllowTF32CuDNN(enabled != 0);
    return 0;
  })
}
