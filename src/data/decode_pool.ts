/**
 * A bounded number of Workers that decode images.
 *
 * @module
 */

import { threads } from "../torch/device.ts";
import { SharedBudget } from "./budget.ts";
import { MAX_PIXELS } from "./decode.ts";
import type { DecodeFailure, DecodeJob, DecodeReply } from "./decode_job.ts";
import { MAX_BYTES } from "./image_file.ts";
import { Station } from "./station.ts";

/** More files than a job has: when so many were taken, none is left. */
const MAX_FILES = 1 << 30;
/** How often it is looked at what the workers are at. */
const LOOK_MS = 1000;
/** Looks at one file after which its worker is stuck: in a dead file system, or in a decoder. */
const MOST_LOOKS = 60;
/** How long the end waits for workers. */
const END_MS = 5000;
/** How often it is looked whether they have ended. */
const END_LOOK_MS = 5;

/** What all workers of this process may have in memory, together as much as one image may. */
const memory = {
  pixels: SharedBudget.of(MAX_PIXELS).memory,
  bytes: SharedBudget.of(MAX_BYTES).memory,
} as const;

/** Files to decode, and where to: see {@linkcode DecodeJob}. */
export type DecodeRequest = Omit<DecodeJob, "id" | "taken" | "memory" | "station">;

/** What became of a request. */
export interface DecodeOutcome {
  /** The files that could not be decoded. */
  readonly failures: readonly DecodeFailure[];
  /** The place of an image that is gray with 16 bits a pixel, if there is one. */
  readonly gray16: number | null;
}

/** A job that workers are at. */
interface Running {
  readonly paths: readonly string[];
  readonly taken: Int32Array<SharedArrayBuffer>;
  /** Workers that have not answered yet. */
  waiting: number;
  readonly failures: DecodeFailure[];
  gray16: number | null;
  readonly settle: PromiseWithResolvers<DecodeOutcome>;
}

/** A worker, and what it is at. */
interface Staffed {
  readonly worker: Worker;
  readonly station: Station;
}

/** Workers that decode one job after the other, together. */
export class DecodePool implements AsyncDisposable {
  readonly #workers: readonly Staffed[];
  readonly #running = new Map<number, Running>();
  readonly #timer: ReturnType<typeof setInterval>;
  #jobs = 0;
  #broken: Error | null = null;
  #stuck: Station | null = null;

  /**
   * Starts so many workers, at least one.
   *
   * @param lookMs how often it is looked at what they are at; the sixtieth look at the same file ends the work
   */
  constructor(workers: number, lookMs: number = LOOK_MS) {
    // libtorch hands the number of threads that a worker sets to all threads that have not asked for theirs.
    threads();
    this.#workers = Array.from({ length: Math.max(1, workers) }, () => this.#start());
    this.#timer = setInterval(() => this.#look(), lookMs);
    Deno.unrefTimer(this.#timer);
  }

  /** Does a job, after those that were there before. */
  run(request: DecodeRequest): Promise<DecodeOutcome> {
    if (this.#broken !== null) return Promise.reject(this.#broken);
    const settle = Promise.withResolvers<DecodeOutcome>(), id = this.#jobs++;
    const taken = new Int32Array(new SharedArrayBuffer(4)), { paths } = request;
    const running: Running = {
      ...{ paths, taken, waiting: this.#workers.length, failures: [], gray16: null, settle },
    };
    this.#running.set(id, running);
    for (const { worker, station } of this.#workers) {
      const job: DecodeJob = { ...request, id, taken: taken.buffer, memory, station: station.memory };
      worker.postMessage(job);
    }
    return settle.promise;
  }

  #start(): Staffed {
    const worker = new Worker(new URL("./decode_worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<DecodeReply>) => this.#answered(data);
    worker.onerror = (event) => {
      event.preventDefault();
      const reason = event.message.replace(/^Uncaught (\(in promise\) )?(\w*Error: )?/, "");
      this.#fail(new Error(`Cannot decode images: ${reason}`));
    };
    return { worker, station: new Station() };
  }

  #answered({ id, failures, gray16 }: DecodeReply): void {
    const job = this.#running.get(id);
    if (job === undefined) return;
    job.failures.push(...failures);
    job.gray16 ??= gray16;
    if (--job.waiting > 0) return;
    this.#running.delete(id);
    if (this.#broken !== null) job.settle.reject(this.#broken);
    else job.settle.resolve(job);
  }

  /** Ends the work where a worker is stuck: another image in place of that one would make the run depend on time. */
  #look(): void {
    for (const { station } of this.#workers) {
      const work = station.look();
      if (work === null || work.looks < MOST_LOOKS) continue;
      this.#stuck = station;
      const path = this.#running.get(work.job)?.paths[work.file];
      this.#fail(
        new Error(`Cannot decode ${path}: it takes longer than ${MOST_LOOKS * LOOK_MS / 1000} seconds`),
      );
    }
  }

  #fail(error: Error): void {
    this.#broken ??= error;
    for (const { taken, settle } of this.#running.values()) {
      Atomics.store(taken, 0, MAX_FILES);
      settle.reject(error);
    }
    this.#running.clear();
  }

  /**
   * Ends the workers, each after the image that it is at: a process that ends while one is in a library may crash. One
   * that does not come back is left behind after a few seconds. What was not decoded is left.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#broken ??= new Error("Cannot decode images: the workers were ended");
    const running = [...this.#running.values()];
    for (const { taken } of running) Atomics.store(taken, 0, MAX_FILES);
    const settled = Promise.allSettled(running.map(({ settle }) => settle.promise));
    const late = performance.now() + END_MS;
    let waits = running.length > 0;
    settled.then(() => waits = false);
    const isBusy = ({ station }: Staffed) => station !== this.#stuck && station.isBusy;
    while ((waits || this.#workers.some(isBusy)) && performance.now() < late) {
      await new Promise((resolve) => setTimeout(resolve, END_LOOK_MS));
    }
    this.#fail(this.#broken);
    for (const { worker } of this.#workers) worker.terminate();
  }
}
