/**
 * Takes 500 training steps on made-up images and writes what was alive and what was resident after each to standard output. Run by
 * memory_test.ts in a process of its own, so that nothing else moves the memory.
 */

import { BLURRED, testRecipes } from "../augment/recipes.ts";
import { MemoryBatches } from "../../src/data/batches.ts";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { writeFully } from "../../src/files/atomic.ts";
import { larsGroups } from "../../src/optim/param_groups.ts";
import { Sgd } from "../../src/optim/sgd.ts";
import { Random } from "../../src/base/random.ts";
import { readMetrics, trainStep } from "../../src/training/step.ts";
import { SimClr } from "../../src/methods/simclr.ts";
import { setThreads } from "../../src/torch/device.ts";
import { counters } from "../../src/torch/scope.ts";
import { contextOf } from "../methods/made_method.ts";

const STEPS = 500, COUNT = 64, SIZE = 8, BATCH = 8;

const random = new Random(1);
const images: ImageDataset = {
  name: "noise",
  split: "train",
  count: COUNT,
  height: SIZE,
  width: SIZE,
  images: Uint8Array.from({ length: COUNT * 3 * SIZE * SIZE }, () => random.uint32()),
  labels: Int32Array.from({ length: COUNT }, (_, i) => i % 4),
  classes: ["a", "b", "c", "d"],
};
const views = testRecipes(SIZE, { jitter_strength: 0.5, ...BLURRED });

setThreads(1);
const source = new MemoryBatches(
  { pairs: images, labelled: null, count: COUNT },
  { views, batchSize: BATCH, seed: 1, device: "cpu", rank: 0, processes: 1 },
);
const settings = {
  ...{ hidden_mlp: 16, feat_dim: 8, projection_final_batch_norm: true, manip_hidden_mlp: [16], n_bins: 6 },
  ...{ discrimination_lambda: 2, manip_lambda: 1, supervised_lambda: 1, temperature: 0.5 },
  stop_gradient: 1 as const,
};
const model = new SimClr(settings, contextOf({ width: 8, classes: source.classes }));
const learner = {
  model,
  optimizer: new Sgd(larsGroups(model.namedParameters(), 1e-4), { momentum: 0.9, nesterov: true }),
  device: "cpu",
  precision: null,
};

// Tensors, their bytes, generators, resident bytes: made beforehand, so that the measure itself does not grow.
const measured = new Float64Array(4 * STEPS);
for (let step = 0; step < STEPS; step++) {
  const prepared = source.prepare({ epoch: Math.floor(step * BATCH / COUNT), step: step % (COUNT / BATCH) });
  const { "train/loss": loss } = readMetrics(
    trainStep(learner, prepared, { learningRate: 0.01, progress: 0 }),
    "train/",
  );
  if (!Number.isFinite(loss)) throw new Error(`The loss of step ${step} is ${loss}`);
  const { tensors, bytes, generators } = counters();
  measured.set([tensors, bytes, generators, Deno.memoryUsage().rss], 4 * step);
  await new Promise((resolve) => setTimeout(resolve));
}
// Standard output may take a part only: it holds back what comes after the last byte that looks like a line's end.
writeFully(Deno.stdout, new Uint8Array(measured.buffer));
