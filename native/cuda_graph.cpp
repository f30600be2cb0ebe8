// Recording a GPU's work once, to do it again without asking for each operator.

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <memory>

#include "guard.h"
#include "handles.h"
#include "stec_cuda.h"

namespace stec {
namespace {

HandleTable<std::shared_ptr<at::cuda::CUDAGraph>, 5>& graphs() {
  return immortal<HandleTable<std::shared_ptr<at::cuda::CUDAGraph>, 5>>();
}

}  // namespace
}  // namespace stec

using namespace stec;

int32_t stec_cuda_own_stream(int32_t device) {
  STEC_GUARD(STEC_FAILED, {
    const int32_t count = c10::cuda::device_count();
    TORCH_CHECK(device >= 0 && device < count, "there is no GPU ", device, ": GPUs found: ", count);
    const auto index = static_cast<c10::DeviceIndex>(device);
    const c10::cuda::CUDAGuard guard(index);
    c10::cuda::device_synchronize();
    c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, index));
    return 0;
  })
}

double stec_cuda_graph_new(void) {
  STEC_GUARD(STEC_FAILED, { return graphs().insert(std::make_shared<at::cuda::CUDAGraph>()); })
}

int32_t stec_cuda_graph_begin(double graph) {
  STEC_GUARD(STEC_FAILED, {
    // Other threads, such as NCCL's watchdog, may ask the GPU for things that this one may not while it records.
    graphs().get(graph)->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    return 0;
  })
}

int32_t stec_cuda_graph_end(double graph) {
  STEC_GUARD(STEC_FAILED, {
    graphs().get(graph)->capture_end();
    return 0;
  })
}

int32_t stec_cuda_graph_replay(double graph) {
  STEC_GUARD(STEC_FAILED, {
    graphs().get(graph)->replay();
    return 0;
  })
}

int32_t stec_cuda_graph_free(double graph) {
  STEC_GUARD(STEC_FAILED, {
    TORCH_CHECK(graphs().erase(graph), "this recording was already freed, or never existed");
    return 0;
  })
}
