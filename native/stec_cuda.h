/* The binary interface of the library for CUDA, which is loaded only where a GPU is asked for.
 *
 * It links libtorch_cuda; the shim that stec.h describes does not, so that a CUDA build of libtorch starts at once on a
 * machine without a GPU. The same rules hold: every function checks what it is given, and one that fails returns
 * STEC_FAILED and leaves its message for stec_last_error, per thread.
 */
#ifndef STEC_CUDA_H
#define STEC_CUDA_H

#include "stec.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STEC_CUDA_ABI_VERSION 2

STEC_API uint32_t stec_cuda_abi_version(void);

/* How many GPUs there are; 0 without a driver. */
STEC_API int32_t stec_cuda_devices(void);
/* Copies a JSON object that describes a GPU: name, capability, bytes of memory, multiprocessors, UUID as
 * hexadecimal digits; returns its full length. */
STEC_API int32_t stec_cuda_describe(int32_t device, uint8_t* out, uint32_t capacity);
/* The GPU that "cuda" without a number means, for this thread. */
STEC_API int32_t stec_cuda_set_device(int32_t device);
/* Waits until a GPU has done all that it was asked to. */
STEC_API int32_t stec_cuda_synchronize(int32_t device);

/* Five doubles into `out`, which holds `bytes` bytes: bytes in tensors and the most there were, bytes taken from the GPU
 * and the most there were, bytes that nobody has taken. */
STEC_API int32_t stec_cuda_memory(int32_t device, uint8_t* out, double bytes);
/* Counts the most from now on. */
STEC_API int32_t stec_cuda_reset_peak(int32_t device);
/* Gives memory that no tensor uses back to the GPUs. */
STEC_API int32_t stec_cuda_empty_cache(void);

/* Whether cuDNN tries its algorithms for each new shape and keeps the fastest. */
STEC_API int32_t stec_cuda_set_benchmark(uint32_t enabled);
/* Whether products of float32 matrices and convolutions may round their inputs to TF32, 10 bits of mantissa. */
STEC_API int32_t stec_cuda_set_tf32(uint32_t enabled);

/* Lets a process group of stec.h compute with tensors on a GPU too, by NCCL; each process needs a GPU of its own. Waits
 * until all have come. Where a process is lost, what the others compute together fails, on the CPU as well. */
STEC_API int32_t stec_cuda_join(double group, int32_t device);

/* From now on this thread's work goes to a queue of the GPU of its own, which is what can be recorded. Waits for the GPU. */
STEC_API int32_t stec_cuda_own_stream(int32_t device);
/* A recording of work for a GPU. Between begin and end, work is recorded instead of done; nothing may wait for the GPU or
 * read or write memory of the CPU. Replaying does the recorded work on the same memory. */
STEC_API double stec_cuda_graph_new(void);
STEC_API int32_t stec_cuda_graph_begin(double graph);
STEC_API int32_t stec_cuda_graph_end(double graph);
STEC_API int32_t stec_cuda_graph_replay(double graph);
/* Also gives up what is being recorded. */
STEC_API int32_t stec_cuda_graph_free(double graph);

#ifdef __cplusplus
}
#endif
#endif
