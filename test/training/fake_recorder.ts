/**
 * A stand-in for a GPU's recordings.
 *
 * @module
 */

import type { Recorder } from "../../src/torch/cuda_graph.ts";

/** Records on the CPU: keeps the body and runs it again. What it computes may depend on nothing but memory. */
export class FakeRecorder implements Recorder {
  /** How often `record` was called. */
  recordings = 0;
  /** How often `replay` was called. */
  replays = 0;
  #body: (() => void) | undefined;

  record(body: () => void): void {
    this.recordings++;
    this.#body = body;
  }
  replay(): void {
    this.replays++;
    this.#body!();
  }
  [Symbol.dispose](): void {
    this.#body = undefined;
  }
}
