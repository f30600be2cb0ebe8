/**
 * What a trained representation is compared with: linear probes on raw pixels and on the untrained encoder.
 *
 * @module
 */

import type { TrainSettings } from "../config/settings.ts";
import type { PlainImages } from "../data/dataset.ts";
import { openImages } from "../data/open.ts";
import { toImages, toLabels } from "../evaluate.ts";
import { type LabelledFeatures, linearProbe } from "../probe/linear_probe.ts";
import { noGrad } from "../torch/autograd.ts";
import { cat } from "../torch/functional.ts";
import { dispose, keep, scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { buildModel } from "./build.ts";

/** Test accuracies of linear probes that were trained on a training set. */
export interface Baselines {
  readonly rawPixels: number;
  readonly untrainedEncoder: number;
}

const BATCH = 500;
/** Enough for the probes to be within a percent of their best. */
const MAX_ITERATIONS = 40;

/** The features of images, (N, F), from a function of a batch of them. Dispose of both tensors. */
export async function featuresOf(
  images: PlainImages,
  device: string,
  encode: (images: Tensor) => Tensor,
): Promise<LabelledFeatures> {
  const features: Tensor[] = [], labels: Tensor[] = [];
  for await (const batch of images.batches(BATCH)) {
    noGrad(() => features.push(keep(scope(() => encode(toImages(batch, device)).float()))));
    labels.push(keep(toLabels(batch, device)));
  }
  const all = { features: keep(cat(features)), labels: keep(cat(labels)) };
  dispose([...features, ...labels]);
  return all;
}

/** Measures both baselines. */
export async function measureBaselines(settings: TrainSettings, device: string): Promise<Baselines> {
  using train = await openImages(settings, "train");
  using test = await openImages(settings, "test");
  const probe = async (encode: (images: Tensor) => Tensor) => {
    const known = await featuresOf(train, device, encode), asked = await featuresOf(test, device, encode);
    const options = { maxIterations: MAX_ITERATIONS };
    const accuracy = scope(() => linearProbe(known, asked, train.classes.length, options));
    dispose([...Object.values(known), ...Object.values(asked)]);
    return accuracy;
  };
  using model = buildModel(settings, 0, settings.seed).to({ device });
  model.eval();
  return {
    rawPixels: await probe((images) => images.flatten(1)),
    untrainedEncoder: await probe((images) => model.encoder.forward(images)),
  };
}
