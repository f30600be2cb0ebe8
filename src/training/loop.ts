/**
 * The training loop: prepare, step, observe, save.
 *
 * @module
 */

import type { BatchSource, Prepared } from "../data/batches.ts";
import { machineMetrics } from "../machine/machine.ts";
import type { Peers } from "../nn/peers.ts";
import type { Checkpoints } from "./checkpoints.ts";
import type { Faults } from "./faults.ts";
import { unlessStopped, yieldToSignals } from "./interruption.ts";
import type { Log } from "./log.ts";
import { placeOf, type Plan } from "./plan.ts";
import { type Learner, type PendingMetrics, readMetrics, trainStep, validate } from "./step.ts";

/** The parts of a run that has begun. */
export interface Run {
  readonly plan: Plan;
  readonly source: BatchSource;
  readonly learner: Learner;
  readonly peers: Peers;
  readonly checkpoints: Checkpoints;
  readonly faults: Faults;
  readonly log: Log;
  /** The learning rate after so many steps. */
  readonly rateAt: (steps: number) => number;
  /** Steps between two entries in the log. */
  readonly logEvery: number;
  /** Asks to stop after the step at hand. */
  readonly signal: Pick<AbortSignal, "aborted">;
}

/** Where a loop ended. */
export interface LoopEnd {
  readonly steps: number;
  /** Whether it was asked to stop before the plan's end. */
  readonly stopped: boolean;
}

/** Trains from a number of steps on, until the plan's end or until all processes are asked to stop. */
export async function runLoop(run: Run, doneSteps: number): Promise<LoopEnd> {
  const { plan, learner, faults, log, peers, signal } = run;
  let steps = doneSteps, stopped = peers.any(signal.aborted);
  while (steps < plan.totalSteps && !stopped) {
    const batch = await prepare(run, steps);
    if (batch === null) return { steps, stopped: true };
    const { prepared, waited } = batch, pace = paceOf(run, steps);
    const pending = faults.isSkipped(steps)
      ? null
      : trainStep(learner, prepared, pace, faults.isCareful(steps));
    const goOnFrom = observe(run, steps, pending, prepared);
    const wentBack = goOnFrom <= steps;
    if (!wentBack) log.step(placeOf(plan, steps), waited);
    steps = goOnFrom;
    if (wentBack) continue;
    await save(run, steps);
    await yieldToSignals();
    stopped = peers.any(signal.aborted);
  }
  return { steps, stopped };
}

function paceOf({ plan, rateAt }: Run, steps: number) {
  return { learningRate: rateAt(steps), progress: steps / plan.scheduleSteps };
}

/** Waits for a batch; null if the run is asked to stop before it comes. Several processes stop after the same step. */
async function prepare(
  { plan, source, peers, log, signal }: Run,
  steps: number,
): Promise<{ prepared: Prepared; waited: number } | null> {
  const asked = performance.now(), coming = source.prepare(placeOf(plan, steps));
  const prepared = peers.size > 1 ? await coming : await unlessStopped(coming, signal);
  log.notes(source.notes);
  return prepared && { prepared, waited: performance.now() - asked };
}

/** Whether a step is the last one of its epoch, or of the run. */
function endsEpoch({ stepsPerEpoch, totalSteps }: Plan, steps: number): boolean {
  return steps % stepsPerEpoch === 0 || steps === totalSteps;
}

/**
 * Reads and logs the metrics of the step that was made after `done` steps, where that is due: reading waits for a GPU, so
 * most steps are not read. Returns the number of steps to go on from.
 */
function observe(run: Run, done: number, pending: PendingMetrics | null, prepared: Prepared): number {
  const { plan, learner, peers, checkpoints, faults, log, logEvery } = run, steps = done + 1;
  if (pending === null) {
    faults.passedOver(steps);
    return steps;
  }
  const logs = steps % logEvery === 0 || endsEpoch(plan, steps);
  if (!logs && !faults.isCareful(done) && !checkpoints.isDue(steps)) {
    pending.values[Symbol.dispose]();
    return steps;
  }
  const metrics = readMetrics(pending, "train/", peers), goOnFrom = faults.judge(steps, metrics, prepared);
  if (logs && goOnFrom === steps) {
    log.write(placeOf(plan, done), steps, {
      ...metrics,
      learning_rate: run.rateAt(done),
      ...log.speed,
      ...machineMetrics(learner),
      ...learner.reducer?.times(),
    });
  }
  return goOnFrom;
}

/** Validates at the end of an epoch, and saves where a checkpoint is due. */
async function save({ plan, source, learner, checkpoints, log, rateAt }: Run, steps: number): Promise<void> {
  const validation = endsEpoch(plan, steps) ? await validate(learner, source) : null;
  if (validation !== null) log.write(placeOf(plan, steps - 1), steps, validation);
  checkpoints.afterStep(steps, validation?.["val/loss"] ?? null, rateAt(steps - 1));
}
