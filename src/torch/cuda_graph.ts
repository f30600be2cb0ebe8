/**
 * Work for a GPU that is recorded once and done again and again.
 *
 * @module
 */

import { emptyCudaCache } from "./cuda.ts";
import { cuda } from "./cuda_library.ts";
import { check, nativeError } from "./library.ts";

/** Records work for a device, and does it again on the same memory. */
export interface Recorder extends Disposable {
  /** Records what the body computes. It is not computed now. */
  record(body: () => void): void;
  /** Computes what was recorded. */
  replay(): void;
}

/**
 * A CUDA graph, as `torch.cuda.CUDAGraph`: it spares the CPU from asking for each operator, of which the GPU would
 * otherwise have to wait in small steps. `useOwnStream` must have been called.
 *
 * What the body reads must stay in its place, and so must what it writes; it must not wait for the GPU, nor copy to or
 * from the CPU. Memory that it needs stays with the recording.
 */
export class CudaGraph implements Recorder {
  /** The shim's handle, 0 once freed. */
  #handle: number;

  /** An empty recording. */
  constructor() {
    this.#handle = cuda().stec_cuda_graph_new();
    if (this.#handle < 0) throw nativeError("prepare a recording for a GPU");
  }

  /** Records what the body computes. */
  record(body: () => void): void {
    // What came before holds the same amount of memory that is needed now.
    emptyCudaCache();
    check(cuda().stec_cuda_graph_begin(this.#handle), "begin a recording for a GPU");
    try {
      body();
    } catch (error) {
      // The reason for which the body has failed says more than that the recording cannot be ended.
      cuda().stec_cuda_graph_end(this.#handle);
      throw error;
    }
    check(cuda().stec_cuda_graph_end(this.#handle), "end a recording for a GPU");
  }

  /** Computes what was recorded. */
  replay(): void {
    check(cuda().stec_cuda_graph_replay(this.#handle), "replay a recording");
  }

  /** Frees the recording and its memory. */
  [Symbol.dispose](): void {
    if (this.#handle !== 0) check(cuda().stec_cuda_graph_free(this.#handle), "free a recording");
    this.#handle = 0;
  }
}
