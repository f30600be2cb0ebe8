/**
 * Small checkpoints for tests.
 *
 * @module
 */

import { lightningTree } from "../src/checkpoint/lightning.ts";
import { writeCheckpoint } from "../src/checkpoint/pytorch_writer.ts";
import { tensorSource } from "../src/checkpoint/tensors.ts";
import { resolveTrain } from "../src/config/resolve.ts";
import { buildModel } from "../src/training/build.ts";
import { simClr } from "./methods/made_method.ts";

/** A checkpoint of a small model with fresh weights, as a run would have saved it after 7 steps. */
export function writeModel(path: string, options: { classes?: number; seed?: number } = {}): void {
  const { classes = 10, seed = 1 } = options;
  const settings = resolveTrain({
    dataset: "cifar10",
    arch: "resnet18",
    width: 4,
    hidden_mlp: 16,
    feat_dim: 8,
    manip_hidden_mlp: "16",
    n_bins: 4,
    maxpool1: 1,
    seed,
  });
  using model = buildModel(simClr, settings, classes, seed);
  writeCheckpoint(
    path,
    lightningTree({
      epoch: 0,
      globalStep: 7,
      stateDict: new Map([...model.stateDict()].map(([name, value]) => [name, tensorSource(value)])),
      hyperParameters: { ...settings },
      optimizerStates: [],
      lrSchedulers: [],
      callbacks: {},
      stec: { seed },
    }),
  );
}
