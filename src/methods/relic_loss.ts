/**
 * The loss of ReLIC (Mitrovic et al., "Representation learning via invariant causal mechanisms", 2021,
 * https://arxiv.org/abs/2010.07922).
 *
 * @module
 */

import { type Gathering, UNDIVIDED } from "../nn/peers.ts";
import { autocast, noGrad } from "../torch/autograd.ts";
import { arange } from "../torch/create.ts";
import { crossEntropy, normalize } from "../torch/functional.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { meanOf, widened } from "./precision.ts";

/** Predictions and target projections of both views, each (N, D). The targets have no gradient. */
export interface RelicInputs {
  /** Predictions from views a. */
  readonly qa: Tensor;
  /** Predictions from views b. */
  readonly qb: Tensor;
  /** Target projections of views a. */
  readonly za: Tensor;
  /** Target projections of views b. */
  readonly zb: Tensor;
}

/** The constants of the loss. */
export interface RelicOptions {
  /** Divides the cosines, above 0. */
  readonly temperature: number;
  /** The weight of the invariance. */
  readonly alpha: number;
}

/** The loss and its parts: 0-dimensional tensors. */
export interface RelicLoss {
  /** contrast + alpha invariance. */
  readonly loss: Tensor;
  /** Cross-entropy towards the image's own target, mean of both directions. */
  readonly contrast: Tensor;
  /** KL divergence between both directions' probabilities, each as the fixed one once; their mean. */
  readonly invariance: Tensor;
  /** The share of predictions that are nearest to their own target, mean of both directions. No gradient. */
  readonly accuracy: Tensor;
}

/**
 * With unit vectors, L_ab = qa zb^T / temperature and L_ba = qb za^T / temperature over the targets of all processes, and
 * p = softmax(L):
 * contrast = (CE(L_ab, own) + CE(L_ba, own)) / 2,
 * invariance = (KL(sg(p_ab) || p_ba) + KL(sg(p_ba) || p_ab)) / 2, loss = contrast + alpha invariance.
 *
 * @param peers how the batch is spread over processes
 */
export function relicLoss(
  inputs: RelicInputs,
  options: RelicOptions,
  peers: Gathering = UNDIVIDED,
): RelicLoss {
  return autocast(inputs.qa.device, null, () => scope(() => compute(inputs, options, peers)));
}

function compute({ qa, qb, za, zb }: RelicInputs, options: RelicOptions, peers: Gathering): RelicLoss {
  const { temperature, alpha } = options, [n] = qa.shape, { device } = qa;
  const unit = (rows: Tensor) => normalize(widened(rows));
  const logits = (predictions: Tensor, targets: Tensor) =>
    unit(predictions).matmul(peers.gather(unit(targets)).transpose()).div(temperature);
  const ab = logits(qa, zb), ba = logits(qb, za);
  const own = arange(n * peers.rank, n * (peers.rank + 1), { device });
  const contrast = crossEntropy(ab, own).add(crossEntropy(ba, own)).div(2);
  const logAb = ab.logSoftmax(1), logBa = ba.logSoftmax(1);
  const invariance = divergence(logAb, logBa).add(divergence(logBa, logAb)).div(2);
  const accuracy = noGrad(() => meanOf(ab.argmax(1).eq(own)).add(meanOf(ba.argmax(1).eq(own))).div(2));
  return { loss: contrast.add(invariance.mul(alpha)), contrast, invariance, accuracy };
}

/** KL(sg(p) || q) from log probabilities (N, M), mean over rows. */
function divergence(logP: Tensor, logQ: Tensor): Tensor {
  const fixed = logP.detach();
  return fixed.exp().mul(fixed.sub(logQ)).sum([1]).mean();
}
