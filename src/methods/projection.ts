/**
 * The projection in front of a loss, and the multilayer perceptron that it is made of.
 *
 * @module
 */

import { BatchNorm, Linear, ReLU, Sequential } from "../nn/layers.ts";
import { Layer } from "../nn/module.ts";
import { normalize } from "../torch/functional.ts";
import type { Generator } from "../torch/random.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";

/** Sizes of a perceptron with one hidden layer. */
export interface MlpOptions {
  /** The width of the input. */
  readonly inputs: number;
  /** The width of the hidden layer. */
  readonly hidden: number;
  /** The width of the output. */
  readonly outputs: number;
  /** Whether a BatchNorm follows the last layer. Its bias is fixed at 0. */
  readonly finalBatchNorm?: boolean;
  /** The source of the initial weights. */
  readonly generator?: Generator | null;
}

/** Linear - BatchNorm - ReLU - Linear (no bias), and possibly BatchNorm (no bias): (N, inputs) to (N, outputs). */
export class Mlp extends Layer {
  readonly #model: Sequential;

  /** A perceptron with fresh weights. */
  constructor({ inputs, hidden, outputs, finalBatchNorm = false, generator }: MlpOptions) {
    super();
    const layers: Record<string, Layer> = {
      hidden: new Linear(inputs, hidden, { generator }),
      bn_hidden: new BatchNorm(hidden),
      relu: new ReLU(),
      output: new Linear(hidden, outputs, { bias: false, generator }),
    };
    if (finalBatchNorm) {
      const batchNorm = new BatchNorm(outputs);
      batchNorm.bias.requiresGrad_(false);
      layers.bn_output = batchNorm;
    }
    this.#model = this.child("model", new Sequential(layers));
  }

  /** (N, inputs) to (N, outputs). */
  override forward(input: Tensor): Tensor {
    return this.#model.forward(input);
  }
}

/** Settings of a projection. */
export interface ProjectionSettings {
  /** The width of the hidden layer. */
  readonly hidden_mlp: number;
  /** The width of the output. */
  readonly feat_dim: number;
  /** Whether a BatchNorm follows the last layer. */
  readonly projection_final_batch_norm: boolean;
}

/** The reference's projection: a perceptron, scaled to unit length. */
export class Projection extends Mlp {
  /** A projection of features with fresh weights. */
  constructor(inputs: number, settings: ProjectionSettings, generator: Generator | null) {
    const { hidden_mlp: hidden, feat_dim: outputs, projection_final_batch_norm: finalBatchNorm } = settings;
    super({ inputs, hidden, outputs, finalBatchNorm, generator });
  }

  /** (N, inputs) to unit vectors (N, outputs). */
  override forward(features: Tensor): Tensor {
    return scope(() => normalize(super.forward(features)));
  }
}
