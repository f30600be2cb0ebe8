/**
 * What a trained representation is compared with: linear probes on raw pixels and on the untrained encoder.
 *
 * @module
 */

import type { TrainSettings } from "../config/settings.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { openDataset } from "../data/open.ts";
import { testImages } from "../evaluate.ts";
import { type LabelledFeatures, linearProbe } from "../probe/linear_probe.ts";
import { noGrad } from "../torch/autograd.ts";
import { fromTypedArray } from "../torch/create.ts";
import { cat } from "../torch/functional.ts";
import { scope } from "../torch/scope.ts";
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

/** The features of a data set's images, (N, F), from a function of a batch of images. */
export function featuresOf(
  dataset: ImageDataset,
  device: string,
  encode: (images: Tensor) => Tensor,
): LabelledFeatures {
  const { labels, count } = dataset;
  if (labels === undefined) throw new TypeError(`Cannot probe ${dataset.name}: its images have no labels`);
  return noGrad(() =>
    scope(() => {
      const parts: Tensor[] = [];
      for (let start = 0; start < count; start += BATCH) {
        const end = Math.min(start + BATCH, count);
        parts.push(scope(() => encode(testImages(dataset, start, end, device)).float()));
      }
      return { features: cat(parts), labels: fromTypedArray(labels).to({ dtype: "int64", device }) };
    })
  );
}

/** Measures both baselines. */
export async function measureBaselines(settings: TrainSettings, device: string): Promise<Baselines> {
  const train = await openDataset(settings, "train"), test = await openDataset(settings, "test");
  const classes = train.classes.length;
  const probe = (encode: (images: Tensor) => Tensor) =>
    scope(() =>
      linearProbe(featuresOf(train, device, encode), featuresOf(test, device, encode), classes, {
        maxIterations: MAX_ITERATIONS,
      })
    );
  using model = buildModel(settings, 0, settings.seed).to({ device });
  model.eval();
  return {
    rawPixels: probe((images) => images.flatten(1)),
    untrainedEncoder: probe((images) => model.encoder.forward(images)),
  };
}
