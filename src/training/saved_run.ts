/**
 * A run on disk: what is saved of it, and how it goes on from there.
 *
 * @module
 */

import {
  type LightningCheckpoint,
  lightningTree,
  parseLightning,
  type Plain,
} from "../checkpoint/lightning.ts";
import { brief } from "../checkpoint/brief.ts";
import { encoderIn } from "../checkpoint/encoder.ts";
import { findEncoder, ownNames } from "../checkpoint/encoder_names.ts";
import { checkNames, compareNames } from "../checkpoint/names.ts";
import { readCheckpoint } from "../checkpoint/pytorch.ts";
import { writeCheckpoint } from "../checkpoint/pytorch_writer.ts";
import type { StoredTensor } from "../checkpoint/stored_tensor.ts";
import { openWeights } from "../checkpoint/weights.ts";
import { loadInto, tensorSource } from "../checkpoint/tensors.ts";
import type { TrainSettings } from "../config/settings.ts";
import { messageOf } from "../base/errors.ts";
import type { Method } from "../methods/method.ts";
import type { Encoder } from "../nn/encoder.ts";
import type { Module } from "../nn/module.ts";
import { noGrad } from "../torch/autograd.ts";
import type { Tensor } from "../torch/tensor.ts";
import { loadOptimizer, saveOptimizer } from "./optimizer_state.ts";
import type { Learner } from "./step.ts";

/** How far a run has come. */
export interface RunState {
  /** Optimiser steps done. */
  readonly steps: number;
  /** The epoch of the next step, from 0. */
  readonly epoch: number;
  /** The lowest val/loss at which the best checkpoint was taken; null: none was yet. */
  readonly bestScore: number | null;
  /** Steps of an epoch, which follow from the sizes of data set and batch; null in files of others. */
  readonly stepsPerEpoch: number | null;
}

/** A run as a checkpoint has it. */
export interface SavedRun extends RunState {
  /** Its settings; null in files of others. */
  readonly settings: Readonly<Record<string, Plain>> | null;
  /** The SHA-256 of the user's module that its method was loaded from; null: one of the program's. */
  readonly methodHash: Plain;
}

/** Writes a checkpoint in Lightning's layout, whole or not at all. */
export function saveRun(
  path: string,
  learner: Learner,
  settings: TrainSettings,
  state: RunState,
  learningRate: number,
): void {
  const stateDict = new Map(
    [...learner.model.stateDict()].map(([name, value]) => [name, tensorSource(value)]),
  );
  const checkpoint: LightningCheckpoint = {
    epoch: state.epoch,
    globalStep: state.steps,
    stateDict,
    hyperParameters: settings as unknown as { [name: string]: Plain },
    optimizerStates: saveOptimizer(learner.optimizer, learningRate, settings.learning_rate),
    lrSchedulers: [scheduleState(learner.optimizer.groups.length, state.steps, learningRate, settings)],
    ...(learner.scaler && { scaler: { ...learner.scaler.state() } }),
    callbacks: { ModelCheckpoint: { monitor: "val/loss", mode: "min", best_model_score: state.bestScore } },
    stec: {
      best_score: state.bestScore,
      seed: settings.seed,
      steps_per_epoch: state.stepsPerEpoch,
      ...(learner.methodHash !== undefined && { method_sha256: learner.methodHash }),
    },
  };
  writeCheckpoint(path, lightningTree(checkpoint));
}

/** The schedule's state as PyTorch's `LambdaLR` saves it. */
function scheduleState(groups: number, steps: number, learningRate: number, settings: TrainSettings) {
  const ofEach = <T>(value: T) => new Array<T>(groups).fill(value);
  return {
    base_lrs: ofEach(settings.learning_rate),
    last_epoch: steps,
    _step_count: steps + 1,
    _get_lr_called_within_step: false,
    _last_lr: ofEach(learningRate),
    lr_lambdas: ofEach(null),
  };
}

/** Goes on where a checkpoint was written: weights, optimiser, position, best score. */
export function continueRun(path: string, learner: Learner): SavedRun {
  using checkpoint = openWeights(path);
  const saved = savedRunOf(checkpoint, path), { prefix } = findEncoder(checkpoint.stateDict.keys());
  const load = learner.model.partial ? loadParts : loadWeights;
  load(path, learner.model, ownNames(checkpoint.stateDict, prefix ?? "encoder."));
  loadOptimizer(learner.optimizer, checkpoint.optimizerStates);
  if (checkpoint.scaler !== undefined) learner.scaler?.load(checkpoint.scaler);
  return saved;
}

function savedRunOf(checkpoint: LightningCheckpoint<StoredTensor>, path: string): SavedRun {
  const { epoch, globalStep: steps, stec, hyperParameters } = checkpoint;
  const own = (name: string, expected: string, isExpected: (value: number) => boolean): number | null => {
    const value = stec?.[name] ?? null;
    if (value === null || typeof value === "number" && isExpected(value)) return value;
    throw new TypeError(`Cannot continue from ${path}: its ${name} is ${brief(value)}, not ${expected}`);
  };
  return {
    steps,
    epoch,
    bestScore: own("best_score", "a number", Number.isFinite),
    stepsPerEpoch: own(
      "steps_per_epoch",
      "a whole number of at least 1",
      (value) => Number.isSafeInteger(value) && value >= 1,
    ),
    settings: stec && hyperParameters,
    methodHash: stec?.method_sha256 ?? null,
  };
}

/** Whether a file holds weights alone, so that there is no run to go on with. */
export function isBare(path: string): boolean {
  using checkpoint = openWeights(path);
  return checkpoint.stec === null && checkpoint.optimizerStates.length === 0 && checkpoint.globalStep === 0;
}

/** Why a checkpoint cannot be read to its last byte, in a sentence; null if it can. */
export function faultOfFile(path: string): string | null {
  try {
    using file = readCheckpoint(path);
    file.verify();
    savedRunOf(parseLightning(file.root, path), path);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** What became of the weights of a file. */
export interface TakenWeights {
  /** The modules that kept their fresh weights. */
  readonly fresh: readonly Module[];
  /** Which encoder of the file was taken, where that is not plain. */
  readonly note: string | null;
}

/**
 * Takes only the weights of a file, for a new run: the encoder's must all be there, except its unused classifier. Heads of
 * other sizes keep their fresh weights.
 */
export function startFromWeights(path: string, model: Method, passOver: readonly Module[]): TakenWeights {
  using file = openWeights(path);
  const { state, note } = encoderIn(path, file.stateDict);
  const fresh: Module[] = [];
  for (const [name, module] of model.children()) {
    const part = partOf(state, name);
    const { missing, unexpected, reshaped } = compareNames(part, module.stateDict());
    const fits = missing.length + unexpected.length + reshaped.length === 0;
    if (module === model.encoder) loadEncoder(path, model.encoder, state);
    else if (fits && !passOver.includes(module)) loadWeights(path, module, part);
    else fresh.push(module);
  }
  model.restart?.();
  return { fresh, note };
}

/**
 * Loads an encoder without its classifier, which is never used and not in every file.
 *
 * @param state a whole state dict, see {@linkcode ownNames}
 * @throws {TypeError} if names or shapes differ: nothing is loaded then
 */
export function loadEncoder(
  path: string,
  encoder: Encoder,
  state: ReadonlyMap<string, StoredTensor>,
): void {
  const isUsed = ([name]: readonly [string, unknown]) => !name.startsWith("fc.");
  const targets = new Map([...encoder.stateDict()].filter(isUsed));
  loadAll(path, targets, new Map([...partOf(state, "encoder")].filter(isUsed)));
}

/**
 * Loads a module from a file that may hold more modules.
 *
 * @throws {TypeError} if names or shapes of the module's own parts differ: nothing is loaded then
 */
export function loadParts(path: string, module: Module, stored: ReadonlyMap<string, StoredTensor>): void {
  const own = module.children();
  loadAll(path, module.stateDict(), new Map([...stored].filter(([name]) => own.has(name.split(".", 1)[0]))));
}

/** The entries below a module's name, without it. */
export function partOf(
  stateDict: ReadonlyMap<string, StoredTensor>,
  module: string,
): Map<string, StoredTensor> {
  const prefix = `${module}.`;
  return new Map(
    [...stateDict].filter(([name]) => name.startsWith(prefix)).map(([name, value]) => [
      name.slice(prefix.length),
      value,
    ]),
  );
}

/**
 * Loads a module's weights, all of them.
 *
 * @throws {TypeError} if names or shapes differ: nothing is loaded then
 */
export function loadWeights(path: string, module: Module, stored: ReadonlyMap<string, StoredTensor>): void {
  loadAll(path, module.stateDict(), stored);
}

/**
 * Loads tensors, all of them.
 *
 * @throws {TypeError} if names or shapes differ: nothing is loaded then
 */
export function loadAll(
  path: string,
  targets: ReadonlyMap<string, Tensor>,
  stored: ReadonlyMap<string, StoredTensor>,
): void {
  checkNames(path, stored, targets);
  for (const [name, target] of targets) {
    const value = stored.get(name);
    // Only a counter of BatchNorm may be missing.
    if (value === undefined) noGrad(() => void target.zero_());
    else loadInto(target, value);
  }
}
