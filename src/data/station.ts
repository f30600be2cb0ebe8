/**
 * What a worker is at, as the main thread sees it.
 *
 * @module
 */

const JOB = 0, FILE = 1, CHANGES = 2, WORDS = 3;
const NOTHING = -1;

/** A file that a worker is at. */
export interface Work {
  /** The number of the job. */
  readonly job: number;
  /** The number of the file in the job. */
  readonly file: number;
}

/** A worker's place of work: it says here what it is at, and the main thread looks. */
export class Station {
  /** What both share. */
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array<SharedArrayBuffer>;
  #changes = -1;
  #looks = 0;

  /** One in this memory; a new one if it is left out. */
  constructor(memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(4 * WORDS);
    this.#words = new Int32Array(this.memory);
    if (memory === undefined) this.leave();
  }

  /** Says that the worker begins, or goes on, with a file. */
  begin({ job, file }: Work): void {
    Atomics.store(this.#words, JOB, job);
    Atomics.store(this.#words, FILE, file);
    Atomics.add(this.#words, CHANGES, 1);
  }

  /** Says that the worker is at nothing. */
  leave(): void {
    Atomics.store(this.#words, FILE, NOTHING);
    Atomics.add(this.#words, CHANGES, 1);
  }

  /** Whether the worker is at a file. */
  get isBusy(): boolean {
    return Atomics.load(this.#words, FILE) !== NOTHING;
  }

  /**
   * Looks, once in a while, what the worker is at; null if it is at nothing, or at something else than when it was last
   * looked. `looks` counts since when. A process that was stopped, or a machine that slept, does not look, so a worker
   * is not taken for slow then.
   */
  look(): Work & { readonly looks: number } | null {
    const changes = Atomics.load(this.#words, CHANGES), file = Atomics.load(this.#words, FILE);
    this.#looks = changes === this.#changes ? this.#looks + 1 : 0;
    this.#changes = changes;
    if (file === NOTHING || this.#looks === 0) return null;
    return { job: Atomics.load(this.#words, JOB), file, looks: this.#looks };
  }
}
