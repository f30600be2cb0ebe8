/**
 * The online linear probe: a classifier that learns beside the representation.
 *
 * @module
 */

import type { Batch, LabeledViews } from "../data/batch.ts";
import { Linear } from "../nn/layers.ts";
import { type Layer, Module } from "../nn/module.ts";
import { noGrad } from "../torch/autograd.ts";
import { cat, crossEntropy } from "../torch/functional.ts";
import type { Generator } from "../torch/random.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { Term } from "./method.ts";
import { meanOf } from "./precision.ts";

/** How the head learns. */
export interface SupervisedSettings {
  /** The weight of its loss; 0 or less: the head does not learn. */
  readonly supervised_lambda: number;
  /** 0: the gradient of its loss reaches the encoder; else it does not. */
  readonly stop_gradient: 0 | 1 | 2;
}

/** Class scores from features: Linear(F, classes), weight normal with standard deviation 0.01, bias 0. */
export class SupervisedHead extends Module {
  /** The classifier. */
  readonly linear: Linear;
  readonly #settings: SupervisedSettings;

  /** A head with fresh weights. */
  constructor(features: number, classes: number, settings: SupervisedSettings, generator: Generator | null) {
    super();
    this.#settings = settings;
    this.linear = this.child("linear_layer", new Linear(features, classes, { generator }));
    this.reinitialize(generator);
  }

  /** Draws fresh weights. */
  reinitialize(generator: Generator | null): void {
    noGrad(() => {
      this.linear.weight.normal_(0, 0.01, generator);
      this.linear.bias?.zero_();
    });
  }

  /** Class scores (N, classes) of features (N, F). */
  forward(features: Tensor): Tensor {
    return this.linear.forward(features);
  }

  /** None if the loss has no supervised term. */
  override learnedParameters(): Tensor[] {
    return this.#settings.supervised_lambda > 0 ? super.learnedParameters() : [];
  }

  /**
   * The cross-entropy of the head on labeled views, if the batch has any, else on both views of each pair; null if there
   * are no labels or no weight.
   *
   * @param features of both views of the pairs, (2N, F)
   * @param encoder encodes the labeled views, in a second pass
   */
  term(batch: Batch, features: Tensor, encoder: Layer): Term | null {
    const { supervised_lambda, stop_gradient } = this.#settings;
    if (supervised_lambda <= 0) return null;
    const { labeled, pairs } = batch;
    if (labeled !== undefined) return this.termOf(labeled, encoder, stop_gradient === 0);
    const labels = pairs?.labels ?? null;
    if (labels === null) return null;
    return this.#term(stop_gradient === 0 ? features : features.detach(), cat([labels, labels]));
  }

  /** The same on labeled views alone. */
  termOf({ views, labels }: LabeledViews, encoder: Layer, reachesEncoder: boolean): Term {
    const encode = () => encoder.forward(views);
    return this.#term(reachesEncoder ? encode() : noGrad(encode), labels);
  }

  #term(features: Tensor, labels: Tensor): Term {
    const scores = this.forward(features), loss = crossEntropy(scores, labels);
    const supervised_accuracy = noGrad(() => meanOf(scores.argmax(1).eq(labels)));
    return {
      lambda: this.#settings.supervised_lambda,
      loss,
      metrics: { supervised_loss: loss, supervised_accuracy },
    };
  }
}

/** Networks that classify images. */
export interface Classifier {
  /** Images to features. */
  readonly encoder: Layer;
  /** Features to class scores; null if the images had no labels. */
  readonly supervisedHead?: SupervisedHead | null;
}

/**
 * Class scores (N, classes) of images (N, 3, S, S).
 *
 * @throws {TypeError} if there is no supervised head
 */
export function classify({ encoder, supervisedHead }: Classifier, images: Tensor): Tensor {
  if (!supervisedHead) throw new TypeError("Cannot classify: the model has no supervised head");
  return scope(() => supervisedHead.forward(encoder.forward(images)));
}
