/**
 * How fast a run goes, over its last steps.
 *
 * @module
 */

/** One step: when it ended, how many images were seen since the start, how long was waited for data since then. */
interface Mark {
  readonly time: number;
  readonly images: number;
  readonly waited: number;
}

/** Steps that the figures are taken over: enough to be calm, few enough to forget a slow start. */
const WINDOW = 50;

/** Measures images per second, the time left, and the share of time spent waiting for data. */
export class Speedometer {
  readonly #total: number;
  readonly #now: () => number;
  readonly #marks: Mark[];

  /**
   * Starts the clock.
   *
   * @param total images that the run has still to see
   * @param now milliseconds, `performance.now` unless a test brings its own clock
   */
  constructor(total: number, now: () => number = () => performance.now()) {
    this.#total = total;
    this.#now = now;
    this.#marks = [{ time: now(), images: 0, waited: 0 }];
  }

  /** Counts a step of so many images, which had to wait so many milliseconds for its data. */
  step(images: number, waited: number): void {
    const last = this.#last;
    this.#marks.push({ time: this.#now(), images: last.images + images, waited: last.waited + waited });
    if (this.#marks.length > WINDOW + 1) this.#marks.shift();
  }

  /** Images per second; 0 before the first step. */
  get imagesPerSecond(): number {
    const { time, images } = this.#span;
    return time > 0 ? images / time * 1000 : 0;
  }

  /** Seconds until all images will have been seen; infinite before the first step. */
  get secondsLeft(): number {
    return Math.max(0, this.#total - this.#last.images) / this.imagesPerSecond;
  }

  /** The share of time spent waiting for data, in [0, 1]. */
  get waitingShare(): number {
    const { time, waited } = this.#span;
    return time > 0 ? Math.min(1, waited / time) : 0;
  }

  get #last(): Mark {
    return this.#marks[this.#marks.length - 1];
  }

  /** What happened between the first mark that is kept and the last one. */
  get #span(): Mark {
    const first = this.#marks[0], last = this.#last;
    return {
      time: last.time - first.time,
      images: last.images - first.images,
      waited: last.waited - first.waited,
    };
  }
}
