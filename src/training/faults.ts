/**
 * What is done about a step that went wrong: stop, or go back to the newest checkpoint.
 *
 * @module
 */

import type { OnNan } from "../config/settings.ts";
import type { Prepared } from "../data/batches.ts";
import { ALONE } from "../nn/peers.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { describeFault, DivergedError, faultOf, firstNonFinite } from "./guards.ts";
import type { Log, Metrics } from "./log.ts";
import type { Learner } from "./step.ts";
import { Watch } from "./watch.ts";

/** The parts of a run that a fault concerns. */
export interface FaultsOptions {
  /** Steps that were done before, all of them good. */
  readonly steps: number;
  /** Whether every loss is read before the model learns from it. */
  readonly always: boolean;
  readonly onNan: OnNan;
  readonly learner: Learner;
  readonly checkpoints: Checkpoints;
  readonly log: Log;
}

/** Looks for faults in the steps of a run and handles them. */
export class Faults {
  readonly #options: FaultsOptions;
  readonly #watch: Watch;

  /** For a run that has begun. */
  constructor(options: FaultsOptions) {
    this.#options = options;
    this.#watch = new Watch(options.steps, options.always);
  }

  /** Whether the batch after so many steps is to be passed over. */
  isSkipped(steps: number): boolean {
    return this.#watch.isSkipped(steps);
  }

  /** Whether the loss of the next step is to be read before the model learns from it. */
  isCareful(steps: number): boolean {
    return this.#watch.isCareful(steps);
  }

  /** Takes note of a step whose batch was passed over: the model is as good as it was before. */
  passedOver(steps: number): void {
    if (this.#watch.isGood(steps - 1)) this.#watch.passed(steps);
  }

  /**
   * Judges a step by its metrics and returns the number of steps to go on from: its own, or that of the newest
   * checkpoint.
   *
   * @throws {DivergedError} if the run cannot go on
   */
  judge(steps: number, metrics: Metrics, prepared: Prepared): number {
    const fault = faultOf(metrics), goOnFrom = fault === null ? steps : this.#handle(steps, fault, prepared);
    this.#watch.passed(goOnFrom);
    return goOnFrom;
  }

  #handle(steps: number, fault: string, prepared: Prepared): number {
    const { learner, checkpoints, log, onNan } = this.#options, { peers = ALONE } = learner;
    const remedy = this.#watch.judge(steps, onNan, peers.any(checkpoints.exist));
    const sentence = remedy === "look for it"
      ? `step ${steps}, or one before it, went wrong: ${fault}`
      : describeFault(fault, steps, learner, prepared);
    if (remedy === "stop") throw new DivergedError(`Stopped: ${sentence}; ${checkpoints.lastGood}`);
    const goOnFrom = checkpoints.rollBack(),
      why = remedy === "pass over" ? "to pass over a batch" : "to see where";
    log.rewind(goOnFrom);
    log.note(`Back to step ${goOnFrom}, ${why}: ${sentence}`);
    return goOnFrom;
  }

  /**
   * Keeps a model that went wrong in steps whose losses were not read out of the checkpoints.
   *
   * @throws {DivergedError} if a parameter is not finite
   */
  refuseNonFinite(steps: number): void {
    if (this.#watch.isGood(steps)) return;
    const { learner, checkpoints } = this.#options, place = firstNonFinite(learner.model, () => {});
    if (place === null) return;
    throw new DivergedError(`Stopped: after step ${steps} ${place} is not finite; ${checkpoints.lastGood}`);
  }
}
