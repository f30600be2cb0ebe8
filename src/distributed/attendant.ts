/**
 * What a process does for the others while its main thread computes, or waits for one of them.
 *
 * @module
 */

import type { ProcessGroup } from "./process_group.ts";
import type { Store } from "./store.ts";

/** What a process's attendant works with: handles of the shim, which all threads share. */
export interface AttendantOptions {
  readonly store: number;
  readonly rank: number;
  readonly size: number;
}

/**
 * A Worker that shows the others that this process is alive. When the process is asked to stop and another one shows no
 * sign of life, the attendant breaks the connections: the main thread would wait there until its time is over.
 */
export class Attendant implements Disposable {
  readonly #worker: Worker;

  /** For one of `size` processes that share a store. */
  constructor({ handle }: Store, rank: number, size: number) {
    this.#worker = new Worker(new URL("./attendant_worker.ts", import.meta.url), { type: "module" });
    const options: AttendantOptions = { store: handle, rank, size };
    this.#worker.postMessage(options);
  }

  /** Names the connections to break. */
  attend({ handle }: ProcessGroup): void {
    this.#worker.postMessage(handle);
  }

  /** Ends it. */
  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
