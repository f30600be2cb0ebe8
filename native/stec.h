/* The whole binary interface between libtorch and TypeScript.
 *
 * Numbers. Handles, sizes and lengths cross as doubles: they are exact up to 2^53 and, unlike 64-bit integers, cost
 * Deno nothing to pass. A handle names one object until it is freed and is never valid again afterwards: every
 * function checks it, so a stale or forged handle is an error, not a crash. Functions that read or write elements refuse
 * tensors whose elements do not lie in memory by shape and strides: quantized, sparse, nested, oneDNN's and meta tensors.
 *
 * Frames. Each thread brings one block of memory, the frame, that carries arguments in and results out:
 *
 *     stec_slot slots[STEC_SLOTS]    one for each argument (or result)
 *     double payload[STEC_PAYLOAD]   elements of lists; bytes of strings
 *
 * Errors. No C++ exception leaves the library. A function that fails returns STEC_FAILED and leaves its message for
 * stec_last_error, per thread.
 */
#ifndef STEC_H
#define STEC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STEC_ABI_VERSION 7
#define STEC_API __attribute__((visibility("default")))

#define STEC_FAILED (-1)
#define STEC_ABSENT (-2)
#define STEC_SLOTS 64
#define STEC_PAYLOAD (1 << 17)

enum stec_tag {
  STEC_DEFAULT = 0,     /* not given: the default of the operator's schema */
  STEC_NONE = 1,        /* None */
  STEC_TENSOR = 2,      /* value: handle */
  STEC_NUMBER = 3,      /* value: int, float or Scalar, as the schema wants (a whole number is an int Scalar) */
  STEC_BOOL = 4,        /* value: 0 or 1 */
  STEC_INT64 = 5,       /* value read as int64 */
  STEC_STRING = 6,      /* count bytes of UTF-8 at payload[value] */
  STEC_NUMBERS = 7,     /* count numbers at payload[value] */
  STEC_TENSORS = 8,     /* count handles at payload[value]; handle 0 is None */
  STEC_GENERATOR = 9,   /* value: handle */
  STEC_FIRST = 10       /* only a result: the first argument itself, which an in-place operator returns */
};

typedef struct stec_slot {
  uint32_t tag;
  uint32_t count;
  union {
    double number;
    int64_t integer;
  } value;
} stec_slot;

typedef struct stec_frame {
  stec_slot slots[STEC_SLOTS];
  double payload[STEC_PAYLOAD];
} stec_frame;

/* ---- library ---- */

STEC_API uint32_t stec_abi_version(void);
/* Makes `memory`, of `bytes` bytes, the calling thread's frame. The caller keeps it alive as long as the thread calls.
 * (The frame is the caller's so that Deno need not read through pointers: it then loads this library and no other.) */
STEC_API int32_t stec_use_frame(uint8_t* memory, double bytes);
/* Copies the last error of this thread, UTF-8, at most `capacity` bytes; returns its full length. */
STEC_API uint32_t stec_last_error(uint8_t* out, uint32_t capacity);
/* Copies a JSON object that describes libtorch: version, build settings, CPU capability, threads; returns its full length. */
STEC_API int32_t stec_describe(uint8_t* out, uint32_t capacity);
STEC_API int32_t stec_set_threads(uint32_t threads);
STEC_API int32_t stec_threads(void);
/* signals.cpp: from now on the process gets the signal `by` in the place of `signal`. */
STEC_API int32_t stec_replace_signal(int32_t signal, int32_t by);

/* ---- dispatch.cpp: any operator ---- */

/* The number of the operator `name`, for example "aten::add.Tensor". Those that open files, or make tensors that reach
 * beyond their memory, are refused. */
STEC_API int32_t stec_find_operator(const uint8_t* name, uint32_t length);
/* Copies the operator's schema as text; returns its full length. */
STEC_API int32_t stec_operator_schema(uint32_t op, uint8_t* out, uint32_t capacity);
/* Copies the schemas of all overloads of `name`, for example "aten::add" (empty: of all operators), a line each;
 * returns their full length. */
STEC_API int32_t stec_operator_schemas(const uint8_t* name, uint32_t length, uint8_t* out, uint32_t capacity);
/* Calls an operator with the first `arguments` slots of the frame; returns how many results stand in the slots. */
STEC_API int32_t stec_call(uint32_t op, uint32_t arguments);

/* ---- tensor.cpp: handles ---- */

/* A new CPU tensor with a copy of `bytes` bytes. The shape is in payload[0..dimensions). */
STEC_API double stec_tensor_from_bytes(const uint8_t* data, double bytes, int32_t dtype, uint32_t dimensions);
/* The same without a copy: the caller keeps `data` alive until stec_released has reported `ticket`. */
STEC_API double stec_tensor_borrow_bytes(uint8_t* data, double bytes, int32_t dtype, uint32_t dimensions, double ticket);
/* Tickets of this thread whose memory libtorch no longer needs, into payload; returns their number (STEC_PAYLOAD at
 * most a call). */
STEC_API int32_t stec_released(void);
/* Copies the elements, row-major, to `out`, which must hold exactly as many bytes. */
STEC_API int32_t stec_tensor_copy_bytes(double tensor, uint8_t* out, double bytes);
/* Overwrites `bytes` bytes of a CPU tensor without gaps, as its elements lie in memory, from byte `offset` on. */
STEC_API int32_t stec_tensor_put_bytes(double tensor, double offset, const uint8_t* data, double bytes);
/* Into payload: dtype, device type, device index, requires_grad, is_leaf, contiguous, channels_last contiguous,
 * elements, bytes of one element, storage offset, then shape and strides; returns the number of dimensions. */
STEC_API int32_t stec_tensor_info(double tensor);
/* 1 if both handles name the same tensor, 0 if not. */
STEC_API int32_t stec_tensor_same(double a, double b);
STEC_API int32_t stec_tensor_free(double tensor);
/* Frees the `count` handles in payload; handles that are already free are passed over. */
STEC_API int32_t stec_tensor_free_all(uint32_t count);
/* Into payload: live tensor handles, bytes of their distinct storages, live generators. */
STEC_API int32_t stec_counters(void);

STEC_API double stec_generator_new(double seed);
STEC_API int32_t stec_generator_free(double generator);

/* ---- autograd.cpp ---- */

/* Back-propagates from `tensor`; `gradient` 0 stands for a gradient of one. */
STEC_API int32_t stec_backward(double tensor, double gradient, uint32_t retain_graph, uint32_t create_graph);
/* Gradients of the slot-0 tensor list with respect to the slot-1 list, slot 2 holding the incoming gradients (or
 * STEC_NONE); results into payload as handles, 0 where an input was not used (an error unless allow_unused). */
STEC_API int32_t stec_gradients(uint32_t retain_graph, uint32_t create_graph, uint32_t allow_unused);
/* The accumulated gradient, 0 if there is none. */
STEC_API double stec_gradient(double tensor);
/* Replaces the accumulated gradient; 0 removes it. */
STEC_API int32_t stec_set_gradient(double tensor, double gradient);
STEC_API int32_t stec_set_requires_grad(double tensor, uint32_t requires_grad);
/* Switches grad mode of this thread and returns what it was. */
STEC_API int32_t stec_set_grad_mode(uint32_t enabled);
/* Switches autocast of this thread for a device type: a dtype, or -1 for off. Returns what it was, -1 for off,
 * -2 on failure. The cache of cast weights is dropped whenever the dtype changes. */
STEC_API int32_t stec_set_autocast(int32_t device_type, int32_t dtype);

/* ---- distributed.cpp: processes that compute together. Times are milliseconds unless a name says otherwise ---- */

/* Entries that all processes see, kept by the one that is the server, at port `port` of `host`. */
STEC_API double stec_store_new(const uint8_t* host, uint32_t host_length, uint32_t port, uint32_t is_server,
                               double timeout, const uint8_t* prefix, uint32_t prefix_length);
STEC_API int32_t stec_store_set(double store, const uint8_t* key, uint32_t key_length, const uint8_t* value,
                                uint32_t length);
/* Copies an entry, at most `capacity` bytes; returns its full length, or STEC_ABSENT at once. */
STEC_API int32_t stec_store_get(double store, const uint8_t* key, uint32_t key_length, uint8_t* out,
                                uint32_t capacity);
/* Adds to a count that starts at 0 and returns it; -1 on failure. */
STEC_API double stec_store_add(double store, const uint8_t* key, uint32_t key_length, double amount);
STEC_API int32_t stec_store_free(double store);

/* The processes that share a store, connected by Gloo for what lies on the CPU. They call each of the following
 * functions alike and in the same order. `host` is the store's: the network that leads to it is used. */
STEC_API double stec_group_new(double store, uint32_t rank, uint32_t size, double timeout, const uint8_t* host,
                               uint32_t host_length);
/* Closes the connections. What still runs on them fails. */
STEC_API int32_t stec_group_free(double group);
/* Breaks the connections, from any thread: whatever waits for another process fails, here and there. */
STEC_API int32_t stec_group_break(double group);
/* Nanoseconds that collectives, those of a reducer not counted, have kept the calling threads waiting. */
STEC_API double stec_group_waited(double group);
/* The rows of all processes, (size N, ...) from (N, ...) of each, with a gradient that returns to each, summed. */
STEC_API double stec_gather(double group, double rows);
/* Sums a tensor over all processes, in place. */
STEC_API int32_t stec_sum(double group, double tensor);
/* Copies the `count` tensors whose handles are in payload from process `root` to all. */
STEC_API int32_t stec_broadcast(double group, uint32_t count, uint32_t root);

/* Replaces gradients, as back-propagation brings them about, by their means over all processes. The parameters' handles
 * are in payload; each must receive a gradient in every back-propagation. */
STEC_API double stec_reducer_new(double group, uint32_t count);
/* To be called before every back-propagation. */
STEC_API int32_t stec_reducer_prepare(double reducer);
/* Nanoseconds by which the reduction outlasted the last back-propagation that it ran beside. */
STEC_API double stec_reducer_exposed(double reducer);
STEC_API int32_t stec_reducer_free(double reducer);

/* ---- sync_batch_norm.cpp ---- */

/* Batch normalisation in training with the statistics of all processes' batches, which have the same size, then the
 * shortcut added (0: none), then the ReLU; the running statistics are updated. */
STEC_API double stec_sync_batch_norm(double group, double input, double weight, double bias, double running_mean,
                                     double running_variance, double momentum, double eps, double shortcut,
                                     uint32_t relu);

#ifdef __cplusplus
}
#endif
#endif
