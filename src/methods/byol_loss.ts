/**
 * The loss of BYOL (Grill et al., "Bootstrap your own latent", 2020, https://arxiv.org/abs/2006.07733).
 *
 * @module
 */

import { autocast } from "../torch/autograd.ts";
import { normalize } from "../torch/functional.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { widened } from "./precision.ts";

/**
 * mean(2 - 2 cos(qa, zb)) + mean(2 - 2 cos(qb, za)), 0-dimensional.
 *
 * @param qa predictions (N, D) from views a
 * @param qb predictions (N, D) from views b
 * @param za target projections (N, D) of views a, without gradient
 * @param zb target projections (N, D) of views b, without gradient
 */
export function byolLoss(qa: Tensor, qb: Tensor, za: Tensor, zb: Tensor): Tensor {
  return autocast(qa.device, null, () => scope(() => distance(qa, zb).add(distance(qb, za))));
}

/** The mean squared distance of unit vectors. */
function distance(predictions: Tensor, targets: Tensor): Tensor {
  const cosines = normalize(widened(predictions)).mul(normalize(widened(targets))).sum([1]);
  return cosines.mul(-2).add(2).mean();
}
