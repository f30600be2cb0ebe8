/**
 * The second task of S-TEC: to predict, from the features of both views, the manipulation that turns one into the other.
 *
 * @module
 */

import type { Pairs } from "../data/batch.ts";
import { BatchNorm, Linear, ReLU, Sequential } from "../nn/layers.ts";
import { type Layer, Module } from "../nn/module.ts";
import { type Gathering, UNDIVIDED } from "../nn/peers.ts";
import { noGrad } from "../torch/autograd.ts";
import { full } from "../torch/create.ts";
import { cat, crossEntropy, where } from "../torch/functional.ts";
import type { Generator } from "../torch/random.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { Term } from "./method.ts";
import { meanOf, widened } from "./precision.ts";

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

/** The loss of the prediction and how often it is right: 0-dimensional tensors. Only `loss` has a gradient. */
export interface ManipulationLoss {
  /** Mean cross-entropy. */
  readonly loss: Tensor;
  /** The share of right bins. */
  readonly accuracy: Tensor;
}

/** Settings of the head. */
export interface ManipulationSettings {
  /** Widths of the hidden layers; none makes the head linear. */
  readonly manip_hidden_mlp: readonly number[];
  /** Bins for each entry of the matrix. */
  readonly n_bins: number;
  /** The weight of its loss. */
  readonly manip_lambda: number;
}

/** Predicts binned manipulations: concatenated features - [Linear - BatchNorm - ReLU]... - Linear. */
export class ManipulationHead extends Module {
  /** Bins for each entry of the matrix. */
  readonly bins: number;
  readonly #lambda: number;
  readonly #model: Sequential;

  /**
   * A head with fresh weights.
   *
   * @param features width of one view's features
   */
  constructor(features: number, settings: ManipulationSettings, generator: Generator | null) {
    super();
    const { manip_hidden_mlp, n_bins, manip_lambda } = settings;
    this.bins = n_bins;
    this.#lambda = manip_lambda;
    const layers: Record<string, Layer> = {};
    let width = 2 * features;
    for (const [i, next] of manip_hidden_mlp.entries()) {
      layers[`linear_${i}`] = new Linear(width, next, { generator });
      layers[`bn_${i}`] = new BatchNorm(next);
      layers[`relu_${i}`] = new ReLU();
      width = next;
    }
    layers.linear_final = new Linear(width, n_bins * 6, { generator });
    this.#model = this.child("model", new Sequential(layers));
  }

  /**
   * The term that makes any method learn from efference copies. Pairs with a solarized view do not count.
   *
   * @param features of both views of the pairs, (2N, F)
   */
  term(features: Tensor, { manipulation, solarized }: Pairs, peers: Gathering): Term {
    const [a, b] = features.chunk(2), logits = this.forward(a, b);
    const kept = solarized === null ? null : unsolarizedPairs(solarized);
    const { loss, accuracy } = this.loss(logits, manipulation, kept, peers);
    return { lambda: this.#lambda, loss, metrics: { manip_loss: loss, manip_accuracy: accuracy } };
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

/** Pairs (N) without a solarized view among their 2N views. */
function unsolarizedPairs(solarized: Tensor): Tensor {
  const [a, b] = solarized.chunk(2);
  return a.logicalNot().logicalAnd(b.logicalNot());
}
