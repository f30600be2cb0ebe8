/**
 * A model that is as its checkpoint says, whatever wrote it.
 *
 * @module
 */

import { type LightningCheckpoint, parseLightning } from "../checkpoint/lightning.ts";
import {
  checkNames,
  describeArchitecture,
  guessArchitecture,
  type GuessedArchitecture,
} from "../checkpoint/names.ts";
import { readCheckpoint } from "../checkpoint/pytorch.ts";
import type { StoredTensor } from "../checkpoint/stored_tensor.ts";
import { loadInto } from "../checkpoint/tensors.ts";
import { type Architecture, ARCHITECTURES } from "../nn/architectures.ts";
import type { Module } from "../nn/module.ts";
import { ResNet } from "../nn/resnet.ts";
import { ManipulationHead } from "../methods/manipulation_head.ts";
import { SupervisedHead } from "../methods/supervised_head.ts";
import { LAYOUT } from "../machine/machine.ts";
import { loadWeights, partOf } from "./saved_run.ts";

/** The encoder of a checkpoint, in eval mode, and the heads that the file has. */
export interface StoredModel extends Disposable {
  /** Images to features. */
  readonly encoder: ResNet;
  /** Features to class scores. */
  readonly supervisedHead: SupervisedHead | null;
  /** Two views' features to the manipulation between them. */
  readonly manipulationHead: ManipulationHead | null;
  /** Classes that the supervised head tells apart, 0 without one. */
  readonly classes: number;
  /** Optimiser steps that it was trained for, 0 where the file does not say. */
  readonly steps: number;
}

/** What heads that only predict do with a loss. */
const LEARNS_NOTHING = { supervised_lambda: 0, stop_gradient: 1, manip_lambda: 0 } as const;

/**
 * Loads the networks of a checkpoint of this program or the reference, or an exported encoder. Names and shapes tell
 * their sizes; whether max-pooling follows the first convolution its settings, and `maxPool` where it has none.
 *
 * @throws {TypeError} if the file holds no ResNet that is known here
 */
export function loadModel(path: string, device: string, maxPool: boolean): StoredModel {
  using file = readCheckpoint(path);
  const checkpoint = parseLightning(file.root, path), guess = guessArchitecture(checkpoint.stateDict);
  const { stateDict, globalStep: steps } = checkpoint, outer = guess.prefix.replace(/encoder\.$/, "");
  const encoder = loadEncoder(path, guess, checkpoint, maxPool);
  const features = encoder.featureWidth, { classes, manipHidden, bins } = guess;
  const load = <M extends Module>(name: string, module: M): M => {
    loadWeights(path, module, partOf(stateDict, outer + name));
    return module;
  };
  const supervisedHead = classes === null
    ? null
    : load("supervised_head", new SupervisedHead(features, classes, LEARNS_NOTHING, null));
  const manipulationHead = manipHidden === null || bins === null ? null : load(
    "binned_prediction_model",
    new ManipulationHead(
      features,
      { manip_hidden_mlp: manipHidden, n_bins: bins, ...LEARNS_NOTHING },
      null,
    ),
  );
  const modules = [encoder, supervisedHead, manipulationHead].filter((module) => module !== null);
  for (const module of modules) {
    module.to({ device, memoryFormat: LAYOUT }).eval().requiresGrad_(false);
  }
  return {
    encoder,
    supervisedHead,
    manipulationHead,
    classes: classes ?? 0,
    steps,
    [Symbol.dispose]: () => modules.forEach((module) => module[Symbol.dispose]()),
  };
}

/** Loads the encoder but for its classifier, which is never used and not in every file. */
function loadEncoder(
  path: string,
  guess: GuessedArchitecture,
  { stateDict, hyperParameters }: LightningCheckpoint<StoredTensor>,
  maxPool: boolean,
): ResNet {
  const { prefix, stem, width } = guess, arch = guess.arch as Architecture;
  if (!ARCHITECTURES.includes(arch) || width === null) {
    throw new TypeError(`Cannot load ${path}: it seems to be ${describeArchitecture(guess)}`);
  }
  const { maxpool1 } = hyperParameters;
  const encoder = new ResNet({
    arch,
    width,
    firstConv: stem === 7,
    maxPool: maxpool1 === undefined ? maxPool : Boolean(maxpool1),
  });
  const wanted = new Map([...encoder.stateDict()].filter(([name]) => !name.startsWith("fc.")));
  const found = new Map<string, StoredTensor>();
  for (const name of wanted.keys()) {
    const stored = stateDict.get(prefix + name);
    if (stored !== undefined) found.set(name, stored);
  }
  checkNames(path, found, wanted);
  for (const [name, target] of wanted) loadInto(target, found.get(name)!);
  return encoder;
}
