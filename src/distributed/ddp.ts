/**
 * Data parallelism: every process has the whole model and a part of the batch.
 *
 * @module
 */

import type { Module } from "../nn/module.ts";
import { check, native, nativeError, PAYLOAD, payload } from "../torch/library.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { Peers } from "../nn/peers.ts";
import { ProcessGroup } from "./process_group.ts";
import { synchronizeBatchNorms } from "./sync_batch_norm.ts";

/**
 * Makes a module learn from all processes' parts of a batch as one learns from the whole: its BatchNorms share their
 * statistics, and the reducer that is returned the gradients. There is none for a process that is alone. On GPUs the
 * processes are connected by NCCL from then on.
 *
 * @param parameters those that every back-propagation reaches
 */
export function parallelize(
  module: Module,
  parameters: readonly Tensor[],
  peers: Peers,
): GradientReducer | undefined {
  if (!(peers instanceof ProcessGroup)) return undefined;
  const { device } = parameters[0];
  if (device !== "cpu") peers.joinGpu(device);
  synchronizeBatchNorms(module, peers);
  return new GradientReducer(parameters, peers);
}

/** Where a step's time goes that one process would not need, in milliseconds. */
export interface ExchangeTimes {
  /** By how much the reduction of gradients outlasts back-propagation. */
  readonly all_reduce_exposed_ms: number;
  /** How long this process waits for the others' parts in the forward and backward pass; on a GPU only its CPU. */
  readonly peers_waited_ms: number;
}

/**
 * c10d's Reducer: during back-propagation it replaces gradients by their means over all processes, in buckets, while
 * further gradients are still being computed. With losses that are means over equally many rows, these are the
 * gradients of the whole batch.
 */
export class GradientReducer implements Disposable {
  readonly #group: ProcessGroup;
  #handle: number;
  /** Back-propagations since times were read, and how long had been waited by then. */
  #steps = 0;
  #waitedBefore: number;

  /** @param parameters each must receive a gradient in every back-propagation, on all processes alike */
  constructor(parameters: readonly Tensor[], group: ProcessGroup) {
    if (parameters.length > PAYLOAD) {
      throw new RangeError(`Cannot reduce the gradients of ${parameters.length} tensors`);
    }
    for (const [i, parameter] of parameters.entries()) payload[i] = parameter.handle;
    this.#handle = native.stec_reducer_new(group.handle, parameters.length);
    if (this.#handle < 0) throw nativeError("prepare to reduce gradients");
    this.#group = group;
    this.#waitedBefore = group.waited;
  }

  /** To be called before every back-propagation. */
  prepare(): void {
    check(native.stec_reducer_prepare(this.#handle), "prepare to reduce gradients");
    this.#steps++;
  }

  /** The last step's exposed reduction and the mean of the time waited since the last call. On a GPU this waits for it. */
  times(): ExchangeTimes {
    const exposed = check(native.stec_reducer_exposed(this.#handle), "read the time of a reduction");
    const waited = this.#group.waited, steps = Math.max(1, this.#steps);
    const times = {
      all_reduce_exposed_ms: exposed / 1e6,
      peers_waited_ms: (waited - this.#waitedBefore) / steps,
    };
    this.#waitedBefore = waited;
    this.#steps = 0;
    return times;
  }

  /** Frees the reducer; the parameters' gradients stay. */
  [Symbol.dispose](): void {
    if (this.#handle !== 0) check(native.stec_reducer_free(this.#handle), "free a reducer");
    this.#handle = 0;
  }
}
