/**
 * The second task of S-TEC: to predict, from the features of both views, the manipulation that turns one into the other.
 *
 * @module
 */

import { BatchNorm, Linear, ReLU, Sequential } from "../nn/layers.ts";
import { type Layer, Module } from "../nn/module.ts";
import { type Gathering, UNDIVIDED } from "../peers.ts";
import { noGrad } from "../torch/autograd.ts";
import { full } from "../torch/create.ts";
import { cat, crossEntropy, where } from "../torch/functional.ts";
import type { Generator } from "../torch/random.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { meanOf } from "./nt_xent.ts";

/** Upper bounds of the bins for the 2x2 part of M_ab and for the translation; the lower ones are their negatives. */
const BOUNDS = { linear: 2, translation: 0.5 } as const;

/**
 * The bin of each entry of a manipulation: round((v - lo) / (hi - lo) bins - 0.5), halves to the even number, kept in
 * [0, bins - 1]. The 2x2 part is binned over [-2, 2], the translation over [-0.5, 0.5].
 *
 * @param manipulation (N, 2, 3)
 * @returns bin numbers (N, 2, 3), int64
 */
export function manipulationBins(manipulation: Tensor, bins: number): Tensor {
  return scope(() => {
    // Made on the device: a step that is recorded for a GPU must not read the CPU's memory.
    const high = full([3], BOUNDS.linear, { dtype: manipulation.dtype, device: manipulation.device });
    high.select(0, 2).fill_(BOUNDS.translation);
    const position = manipulation.add(high).div(high.mul(2)).mul(bins).sub(0.5);
    return position.round().clamp(0, bins - 1).to({ dtype: "int64" });
  });
}

/** The loss of the prediction and how often it is right: 0-dimensional tensors, of which only `loss` has a gradient. */
export interface ManipulationLoss {
  /** Mean cross-entropy. */
  readonly loss: Tensor;
  /** The share of right bins. */
  readonly accuracy: Tensor;
}

/** Settings of the head. */
export interface ManipulationHeadOptions {
  /** Width of one view's features. */
  readonly features: number;
  /** Widths of the hidden layers; none makes the head linear. */
  readonly hidden: readonly number[];
  /** Bins for each entry of the matrix. */
  readonly bins: number;
  /** Where the initial weights are drawn from. */
  readonly generator?: Generator | null;
}

/** Predicts binned manipulations: concatenated features - [Linear - BatchNorm - ReLU]... - Linear. */
export class ManipulationHead extends Module {
  /** Bins for each entry of the matrix. */
  readonly bins: number;
  readonly #model: Sequential;

  /** A head with fresh weights. */
  constructor(options: ManipulationHeadOptions) {
    super();
    const { features, hidden, bins, generator } = options;
    this.bins = bins;
    const layers: Record<string, Layer> = {};
    let width = 2 * features;
    for (const [i, next] of hidden.entries()) {
      layers[`linear_${i}`] = new Linear(width, next, { generator });
      layers[`bn_${i}`] = new BatchNorm(next);
      layers[`relu_${i}`] = new ReLU();
      width = next;
    }
    layers.linear_final = new Linear(width, bins * 6, { generator });
    this.#model = this.child("model", new Sequential(layers));
  }

  /** Logits (N, bins, 2, 3) from the features (N, F) of views a and of views b. */
  forward(a: Tensor, b: Tensor): Tensor {
    return scope(() => this.#model.forward(cat([a, b], 1)).reshape(-1, this.bins, 2, 3));
  }

  /**
   * Cross-entropy of the logits towards the bins of the true manipulation, mean over entries and pairs, and the share
   * of right bins among all.
   *
   * @param manipulation M_ab, (N, 2, 3)
   * @param kept (N), bool: pairs that count; null: all. If none counts the loss is 0.
   * @param gathering how the batch is spread over processes: each pair that counts, on any of them, counts alike
   */
  loss(
    logits: Tensor,
    manipulation: Tensor,
    kept: Tensor | null = null,
    gathering: Gathering = UNDIVIDED,
  ): ManipulationLoss {
    return scope(() => {
      const target = manipulationBins(manipulation, this.bins);
      const entries = crossEntropy(widened(logits), target, "none");
      const right = noGrad(() => logits.argmax(1).eq(target));
      if (kept === null) return { loss: entries.mean(), accuracy: meanOf(right) };
      const pairs = entries.mean([1, 2]);
      const sum = where(kept, pairs, 0).sum();
      const count = gathering.mean_(kept.to({ dtype: pairs.dtype }).sum()).clamp(1 / gathering.size);
      return { loss: sum.div(count), accuracy: meanOf(right) };
    });
  }
}

function widened(logits: Tensor): Tensor {
  return logits.dtype === "float64" ? logits : logits.float();
}
