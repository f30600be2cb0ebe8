/**
 * Features of whole data sets, computed once.
 *
 * @module
 */

import type { PlainImages } from "../data/dataset.ts";
import { toImages, toLabels } from "../commands/eval.ts";
import { noGrad } from "../torch/autograd.ts";
import { empty } from "../torch/create.ts";
import { keep, scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";

/** Features of images, and the images' classes. */
export interface LabelledFeatures {
  /** (N, F), float32. */
  readonly features: Tensor;
  /** (N), int64. */
  readonly labels: Tensor;
}

/** How features are extracted. */
export interface ExtractionOptions {
  /** Where they are computed and stay. */
  readonly device: string;
  /** Images at a time. */
  readonly batchSize: number;
  /** Is told how many images are done. */
  readonly onProgress?: (done: number) => void;
}

/**
 * The features of all images, without gradients, from a function of a batch (n, 3, H, W) to (n, F) that is in eval
 * mode. Files that cannot be decoded are left out. Dispose of both tensors.
 *
 * @throws {TypeError} if the images have no labels
 */
export async function extractFeatures(
  images: PlainImages,
  encode: (images: Tensor) => Tensor,
  options: ExtractionOptions,
): Promise<LabelledFeatures> {
  const { device, batchSize, onProgress } = options;
  if (images.classes.length === 0) {
    throw new TypeError(`Cannot probe ${images.name}: its images have no labels`);
  }
  const labels = keep(empty([images.count], { dtype: "int64", device }));
  let features: Tensor | undefined, done = 0;
  for await (const batch of images.batches(batchSize)) {
    const [count] = batch.shape, start = done;
    if (count === 0) continue;
    done += count;
    scope(() => {
      const part = noGrad(() => encode(toImages(batch, device)).float());
      // In place from the beginning: joining the parts at the end would take the memory twice.
      features ??= keep(empty([images.count, part.shape[1]], { device }));
      features.slice(0, start, done).copy_(part);
      labels.slice(0, start, done).copy_(toLabels(batch, device));
    });
    onProgress?.(done);
  }
  if (features === undefined) throw new RangeError(`Cannot probe ${images.name}: it has no images`);
  return { features: shortened(features, done), labels: shortened(labels, done) };
}

/** The first rows of a tensor, which is freed where they are not all. */
function shortened(tensor: Tensor, count: number): Tensor {
  if (tensor.shape[0] === count) return tensor;
  const part = keep(scope(() => tensor.slice(0, 0, count).clone()));
  tensor[Symbol.dispose]();
  return part;
}
