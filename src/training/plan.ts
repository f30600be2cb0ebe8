/**
 * The arithmetic of a run: how many steps, and where a step lies.
 *
 * @module
 */

/** What the length of a run follows from. */
export interface PlanOptions {
  /** Training images. */
  readonly count: number;
  /** Images of a step, on all processes together. */
  readonly globalBatch: number;
  readonly maxEpochs: number;
  /** -1: no limit. */
  readonly maxSteps: number;
  readonly warmupEpochs: number;
}

/** The length of a run in optimiser steps. */
export interface Plan {
  readonly stepsPerEpoch: number;
  /** Steps over which the schedule runs: all epochs, whatever `maxSteps` says. */
  readonly scheduleSteps: number;
  readonly warmupSteps: number;
  /** Steps after which the run ends. */
  readonly totalSteps: number;
}

/** The place of a step: both count from 0. */
export interface Place {
  readonly epoch: number;
  readonly step: number;
}

/**
 * Plans a run; the last incomplete batch of an epoch is dropped.
 *
 * @throws {RangeError} if there are fewer images than a batch has
 */
export function planRun(options: PlanOptions): Plan {
  const { count, globalBatch, maxEpochs, maxSteps, warmupEpochs } = options;
  const stepsPerEpoch = Math.floor(count / globalBatch);
  if (stepsPerEpoch === 0) {
    throw new RangeError(
      `Cannot train: a batch has ${globalBatch} images and the data set only ${count}; lower --batch_size`,
    );
  }
  const scheduleSteps = maxEpochs * stepsPerEpoch;
  return {
    stepsPerEpoch,
    scheduleSteps,
    warmupSteps: warmupEpochs * stepsPerEpoch,
    totalSteps: maxSteps < 0 ? scheduleSteps : Math.min(maxSteps, scheduleSteps),
  };
}

/** Where the step lies that comes after `steps` steps. */
export function placeOf(plan: Plan, steps: number): Place {
  return { epoch: Math.floor(steps / plan.stepsPerEpoch), step: steps % plan.stepsPerEpoch };
}
