/**
 * How much a linear classifier gets out of features.
 *
 * @module
 */

import { enableGrad, noGrad } from "../torch/autograd.ts";
import { zeros } from "../torch/create.ts";
import { crossEntropy, linear } from "../torch/functional.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { lbfgs } from "./lbfgs.ts";

/** Features of images, and the images' classes. */
export interface LabelledFeatures {
  /** (N, F), float32. */
  readonly features: Tensor;
  /** (N), int64. */
  readonly labels: Tensor;
}

/** Settings of the probe. */
export interface LinearProbeOptions {
  /** Weight of the L2 penalty, 0.5 weightDecay |W|^2, on standardised features. */
  readonly weightDecay?: number;
  readonly maxIterations?: number;
}

/**
 * The test accuracy of multinomial logistic regression (L-BFGS, full batch) that was trained on other images' features.
 * Features are standardised by the training ones' mean and standard deviation.
 */
export function linearProbe(
  train: LabelledFeatures,
  test: LabelledFeatures,
  classes: number,
  options: LinearProbeOptions = {},
): number {
  const { weightDecay = 1e-3, maxIterations = 100 } = options;
  return scope(() => {
    const mean = train.features.mean([0]), scale = train.features.std([0]).add(1e-6);
    const x = train.features.sub(mean).div(scale), width = x.shape[1];
    const weights = zeros([classes * (width + 1)], { device: x.device });
    const split = (w: Tensor): [weight: Tensor, bias: Tensor] => {
      const matrix = w.reshape(classes, width + 1);
      return [matrix.slice(1, 0, width), matrix.select(1, width)];
    };
    lbfgs(weights, (at) => objective(at, x, train.labels, split, weightDecay), { maxIterations });
    const [weight, bias] = split(weights);
    const scores = linear(test.features.sub(mean).div(scale), weight, bias);
    return scores.argmax(1).eq(test.labels).float().mean().item();
  });
}

function objective(
  at: Tensor,
  x: Tensor,
  labels: Tensor,
  split: (w: Tensor) => [Tensor, Tensor],
  weightDecay: number,
): { value: number; gradient: Tensor } {
  return enableGrad(() => {
    const w = at.detach().requiresGrad_();
    const [weight, bias] = split(w);
    const penalty = weight.mul(weight).sum().mul(weightDecay / 2);
    const loss = crossEntropy(linear(x, weight, bias), labels).add(penalty);
    loss.backward();
    return noGrad(() => ({ value: loss.item(), gradient: w.grad! }));
  });
}
