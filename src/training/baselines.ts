/**
 * What a trained representation is compared with: linear probes on raw pixels and on the untrained encoder.
 *
 * @module
 */

import type { TrainSettings } from "../config/settings.ts";
import { openImages } from "../data/open.ts";
import { extractFeatures } from "../evaluation/features.ts";
import { linearProbe } from "../evaluation/linear_probe.ts";
import { dispose, scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { Generator } from "../torch/random.ts";
import { buildEncoder } from "./build.ts";

/** Test accuracies of linear probes that were trained on a training set. */
export interface Baselines {
  readonly rawPixels: number;
  readonly untrainedEncoder: number;
}

const BATCH = 500;
/** Enough for the probes to be within a percent of their best. */
const MAX_ITERATIONS = 40;

/** Measures both baselines. */
export async function measureBaselines(settings: TrainSettings, device: string): Promise<Baselines> {
  await using train = await openImages(settings, "train");
  await using test = await openImages(settings, "test");
  const probe = async (encode: (images: Tensor) => Tensor) => {
    const known = await extractFeatures(train, encode, { device, batchSize: BATCH });
    const asked = await extractFeatures(test, encode, { device, batchSize: BATCH });
    const options = { maxIterations: MAX_ITERATIONS };
    const accuracy = scope(() => linearProbe(known, asked, train.classes.length, options));
    dispose([...Object.values(known), ...Object.values(asked)]);
    return accuracy;
  };
  using generator = new Generator(settings.seed);
  using encoder = buildEncoder(settings, generator).to({ device }).eval();
  return {
    rawPixels: await probe((images) => images.flatten(1)),
    untrainedEncoder: await probe((images) => encoder.forward(images)),
  };
}
