/**
 * Which steps of a run are looked at, and what is done about one that went wrong.
 *
 * @module
 */

import type { OnNan } from "../config/settings.ts";

/** A run that has passed over so many batches is not going to recover. */
const MAX_SKIPPED = 10;

/** What to do about a fault: stop, go back and pass over the batch, or go back and look for the step where it began. */
export type Remedy = "stop" | "pass over" | "look for it";

/**
 * Watches over a run. Looking at a loss means to wait for a GPU, so that there most steps are not looked at: where a fault
 * may be older than the step that shows it, all steps are, from the last checkpoint on. Steps count those done.
 */
export class Watch {
  readonly #always: boolean;
  readonly #skipped = new Set<number>();
  /** So many steps are known to be good. */
  #good: number;
  /** Until here every step has to be looked at. */
  #suspect = 0;

  /** For a run that has done so many good steps. `always`: every step is looked at. */
  constructor(steps: number, always: boolean) {
    this.#good = steps;
    this.#always = always;
  }

  /** Whether the batch after so many steps is to be passed over. */
  isSkipped(steps: number): boolean {
    return this.#skipped.has(steps);
  }

  /** Whether the loss of the next step is to be looked at before it is learnt from. */
  isCareful(steps: number): boolean {
    return this.#always || steps < this.#suspect;
  }

  /** Takes note of a step that was good, or passed over, so that the model is as good as it was before. */
  passed(steps: number): void {
    this.#good = steps;
  }

  /** Whether all steps done so far are known to be good. */
  isGood(steps: number): boolean {
    return this.#good === steps;
  }

  /** Takes note of a fault that a step showed, and says what to do. */
  judge(steps: number, onNan: OnNan, canGoBack: boolean): Remedy {
    if (!this.isGood(steps - 1)) {
      this.#suspect = steps;
      return canGoBack ? "look for it" : "stop";
    }
    this.#skipped.add(steps - 1);
    return canGoBack && onNan === "rollback" && this.#skipped.size <= MAX_SKIPPED ? "pass over" : "stop";
  }
}
