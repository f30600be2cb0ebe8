/**
 * How much the features of different images differ.
 *
 * @module
 */

import { noGrad } from "../torch/autograd.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";

/**
 * How differently a batch of features point: the root of the summed variances of the normalised features, 0 if all
 * point the same way and near 1 if they point everywhere. (Chen and He, "Exploring simple Siamese representation
 * learning", watch the same quantity.)
 *
 * @param features (N, F)
 * @returns a 0-dimensional float32 tensor without gradient
 */
export function featureSpread(features: Tensor): Tensor {
  return noGrad(() =>
    scope(() => {
      const plain = features.detach().float();
      const unit = plain.div(plain.mul(plain).sum([1], true).sqrt().clamp(1e-12));
      const deviation = unit.std([0], 0);
      return deviation.mul(deviation).sum().sqrt();
    })
  );
}
