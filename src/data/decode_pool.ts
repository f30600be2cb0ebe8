/**
 * A bounded number of Workers that decode images.
 *
 * @module
 */

import { threads } from "../torch/device.ts";
import type { DecodeFailure, DecodeJob, DecodeReply } from "./decode_job.ts";

/** More files than a job has: when so many were taken, none is left. */
const MAX_FILES = 1 << 30;

/** A job that workers are at. */
interface Running {
  readonly taken: Int32Array<SharedArrayBuffer>;
  /** Workers that have not answered yet. */
  waiting: number;
  readonly failures: DecodeFailure[];
  readonly settle: PromiseWithResolvers<readonly DecodeFailure[]>;
}

/** Workers that decode one job after the other, together. */
export class DecodePool implements AsyncDisposable {
  readonly #workers: readonly Worker[];
  readonly #running = new Map<number, Running>();
  #jobs = 0;
  #broken: Error | null = null;

  /** Starts so many workers, at least one. */
  constructor(workers: number) {
    // libtorch hands the number of threads that a worker sets to all threads that have not asked for theirs.
    threads();
    this.#workers = Array.from({ length: Math.max(1, workers) }, () => this.#start());
  }

  /** Does a job, after those that were there before. Resolves to the files that could not be decoded. */
  run(job: Omit<DecodeJob, "id" | "taken">): Promise<readonly DecodeFailure[]> {
    if (this.#broken !== null) return Promise.reject(this.#broken);
    const settle = Promise.withResolvers<readonly DecodeFailure[]>();
    const taken = new Int32Array(new SharedArrayBuffer(4));
    const message: DecodeJob = { ...job, id: this.#jobs++, taken: taken.buffer };
    this.#running.set(message.id, { taken, waiting: this.#workers.length, failures: [], settle });
    for (const worker of this.#workers) worker.postMessage(message);
    return settle.promise;
  }

  #start(): Worker {
    const worker = new Worker(new URL("./decode_worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<DecodeReply>) => this.#answered(data);
    worker.onerror = (event) => {
      event.preventDefault();
      const reason = event.message.replace(/^Uncaught (\(in promise\) )?(\w*Error: )?/, "");
      this.#fail(new Error(`Cannot decode images: ${reason}`));
    };
    return worker;
  }

  #answered({ id, failures }: DecodeReply): void {
    const job = this.#running.get(id);
    if (job === undefined) return;
    job.failures.push(...failures);
    if (--job.waiting > 0) return;
    this.#running.delete(id);
    if (this.#broken !== null) job.settle.reject(this.#broken);
    else job.settle.resolve(job.failures);
  }

  #fail(error: Error): void {
    this.#broken ??= error;
    for (const { settle } of this.#running.values()) settle.reject(error);
    this.#running.clear();
  }

  /**
   * Ends the workers, each after the image that it is at: a process that ends while one is in a library may crash. What
   * was not decoded is left.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#broken ??= new Error("Cannot decode images: the workers were ended");
    const running = [...this.#running.values()];
    for (const { taken } of running) Atomics.store(taken, 0, MAX_FILES);
    await Promise.allSettled(running.map(({ settle }) => settle.promise));
    for (const worker of this.#workers) worker.terminate();
  }
}
