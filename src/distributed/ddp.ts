/**
 * Data parallelism: every process has the whole model and a part of the batch.
 *
 * @module
 */

import { check, native, nativeError, PAYLOAD, payload } from "../torch/library.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { ProcessGroup } from "./process_group.ts";

/**
 * c10d's Reducer: during back-propagation it replaces gradients by their means over all processes, in buckets, while
 * further gradients are still being computed. With losses that are means over equally many rows, these are the
 * gradients of the whole batch.
 */
export class GradientReducer implements Disposable {
  #handle: number;

  /** @param parameters each must receive a gradient in every back-propagation, on all processes alike */
  constructor(parameters: readonly Tensor[], group: ProcessGroup) {
    if (parameters.length > PAYLOAD) {
      throw new RangeError(`Cannot reduce the gradients of ${parameters.length} tensors`);
    }
    for (const [i, parameter] of parameters.entries()) payload[i] = parameter.handle;
    this.#handle = native.stec_reducer_new(group.handle, parameters.length);
    if (this.#handle < 0) throw nativeError("prepare to reduce gradients");
  }

  /** To be called before every back-propagation. */
  prepare(): void {
    check(native.stec_reducer_prepare(this.#handle), "prepare to reduce gradients");
  }

  /** Milliseconds by which the reduction outlasted the last back-propagation. On a GPU, reading it waits for it. */
  get exposed(): number {
    return check(native.stec_reducer_exposed(this.#handle), "read the time of the reduction") / 1e6;
  }

  [Symbol.dispose](): void {
    if (this.#handle !== 0) check(native.stec_reducer_free(this.#handle), "free a reducer");
    this.#handle = 0;
  }
}
