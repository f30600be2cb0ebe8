/**
 * The learning rate over the course of a run.
 *
 * @module
 */

/** A factor on the learning rate for each optimiser step, counted from 0. */
export type Schedule = (step: number) => number;

/**
 * Linear warm-up and then half a cosine: step / warmup before `warmup`, afterwards
 * 0.5 (1 + cos(pi (step - warmup) / (total - warmup))). The very first step has factor 0, as in the reference, unless
 * there is no warm-up.
 */
export function cosineSchedule(warmup: number, total: number): Schedule {
  return (step) => {
    if (step < warmup) return step / warmup;
    const progress = Math.min((step - warmup) / Math.max(total - warmup, 1), 1);
    return 0.5 * (1 + Math.cos(Math.PI * progress));
  };
}

/** Always 1. */
export const constantSchedule: Schedule = (): number => 1;
