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

#define STEC_CUDA_ABI_VERSION 1

STEC_API uint32_t stec_cuda_abi_version(void);

/* How many GPUs there are; 0 without a driver. */
STEC_API int32_t stec_cuda_devices(void);
/* Copies a JSON object that describes a GPU: name, capability, bytes of memory, multiprocessors; returns its full length. */
STEC_API int32_t stec_cuda_describe(int32_t device, uint8_t* out, uint32_t capacity);
/* The GPU that "cuda" without a number means, for this thread. */
STEC_API int32_t stec_cuda_set_device(int32_t device);
/* Waits until a GPU has done all that it was asked to. */
STEC_API int32_t stec_cuda_synchronize(int32_t device);

/* Four doubles into `out`, which holds `bytes` bytes: bytes in tensors and the most there were, bytes taken from the GPU
 * and the most there were. */
STEC_API int32_t stec_cuda_memory(int32_t device, uint8_t* out, double bytes);
/* Counts the most from now on. */
STEC_API int32_t stec_cuda_reset_peak(int32_t device);
/* Gives memory that no tensor uses back to the GPUs. */
STEC_API int32_t stec_cuda_empty_cache(void);

/* Whether cuDNN tries its algorithms for each new shape and keeps the fastest. */
STEC_API int32_t stec_cuda_set_benchmark(uint32_t enabled);
/* Whether products of float32 matrices and convolutions may round their inputs to TF32, 10 bits of mantissa. */
STEC_API int32_t stec_cuda_set_tf32(uint32_t enabled);

#ifdef __cplusplus
}
#endif
#endif
