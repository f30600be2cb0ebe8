/**
 * The projection in front of the contrastive loss.
 *
 * @module
 */

import { BatchNorm, Linear, ReLU, Sequential } from "../nn/layers.ts";
import { Layer } from "../nn/module.ts";
import { normalize } from "../torch/functional.ts";
import type { Generator } from "../torch/random.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";

/** Sizes of the projection. */
export interface ProjectionOptions {
  /** Width of the encoder's features. */
  readonly inputs: number;
  /** Width of the hidden layer. */
  readonly hidden: number;
  /** Width of the result. */
  readonly outputs: number;
  /** Whether a BatchNorm follows the last layer; its bias is fixed at 0. */
  readonly finalBatchNorm: boolean;
  /** Where the initial weights are drawn from. */
  readonly generator?: Generator | null;
}

/** Linear - BatchNorm - ReLU - Linear (no bias) - BatchNorm (no bias) - unit length: (N, inputs) to (N, outputs). */
export class Projection extends Layer {
  readonly #model: Sequential;

  /** A projection with fresh weights. */
  constructor(options: ProjectionOptions) {
    super();
    const { inputs, hidden, outputs, finalBatchNorm, generator } = options;
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

  /** (N, inputs) to unit vectors (N, outputs). */
  override forward(features: Tensor): Tensor {
    return scope(() => normalize(this.#model.forward(features)));
  }
}
