/**
 * S-TEC: the model and its loss ("Self-supervised learning through efference copies", NeurIPS 2022).
 *
 * @module
 */

import { Linear } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import type { Architecture } from "../nn/architectures.ts";
import { ResNet } from "../nn/resnet.ts";
import { noGrad } from "../torch/autograd.ts";
import { cat, crossEntropy } from "../torch/functional.ts";
import type { Generator } from "../torch/random.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { ManipulationHead } from "./manipulation.ts";
import { meanOf, ntXent, type NtXentOptions } from "./nt_xent.ts";
import { Projection } from "./projection.ts";
import { featureSpread } from "./feature_spread.ts";

/** Sizes of the networks. */
export interface StecOptions {
  /** The encoder. */
  readonly arch: Architecture;
  /** Stem: 7x7 of stride 2, else 3x3 of stride 1. */
  readonly firstConv: boolean;
  /** Stem: whether max-pooling follows. */
  readonly maxPool: boolean;
  /** Channels of the encoder's first stage. */
  readonly width: number;
  /** Hidden width of the projection. */
  readonly projectionHidden: number;
  /** Output width of the projection. */
  readonly projectionOutputs: number;
  /** Whether a BatchNorm ends the projection. */
  readonly projectionFinalBatchNorm: boolean;
  /** Hidden widths of the manipulation head. */
  readonly manipulationHidden: readonly number[];
  /** Bins for each entry of the efference copy. */
  readonly bins: number;
  /** Classes that the supervised head tells apart; 0: images carry no labels and there is no head. */
  readonly classes: number;
  /** Where the initial weights are drawn from. */
  readonly generator?: Generator | null;
}

/** How the terms of the loss are weighted and what learns. */
export interface ObjectiveOptions extends NtXentOptions {
  /** Weight of the contrastive loss. */
  readonly discriminationLambda: number;
  /** Weight of the manipulation loss. */
  readonly manipulationLambda: number;
  /** 0 or less: the term is absent. */
  readonly supervisedLambda: number;
  /** Temperature of NT-Xent. */
  readonly temperature: number;
  /**
   * 0: the supervised head's gradient reaches the encoder; 1: it does not; 2: the encoder is frozen and in eval mode
   * and nothing but the supervised head learns.
   */
  readonly stopGradient: 0 | 1 | 2;
}

/** Images whose classes are known, as the supervised head learns from them. */
export interface LabelledViews {
  /** One view of each of N images in [0, 1]: (N, 3, S, S). */
  readonly views: Tensor;
  /** Their classes, int64: (N). */
  readonly labels: Tensor;
}

/** What one step learns from. */
export interface Batch {
  /** Both views of N images in [0, 1], first all a, then all b: (2N, 3, S, S). */
  readonly views: Tensor;
  /** M_ab of each pair, (N, 2, 3). */
  readonly manipulation: Tensor;
  /** Which of the 2N views were solarised, bool; null: none. */
  readonly solarized: Tensor | null;
  /** Classes of the N images, int64; null: unknown. */
  readonly labels: Tensor | null;
  /** What the supervised head learns from, where it learns from other images than these. */
  readonly labelled?: LabelledViews;
}

/** The terms of the loss and what is reported beside them: 0-dimensional tensors, of which only `loss` has a gradient. */
export interface Losses {
  /** The weighted sum. */
  readonly loss: Tensor;
  /** How much the features of different views differ, see `featureSpread`. */
  readonly featureSpread: Tensor;
  /** NT-Xent. */
  readonly discriminationLoss: Tensor;
  /** How often a view is most similar to its partner, among all 2N. */
  readonly discriminationAccuracy: Tensor;
  /** The same from a to b only. */
  readonly contrastAccuracy: Tensor;
  /** Entropy of the softmax over the b views, in nats. */
  readonly contrastEntropy: Tensor;
  /** Cross-entropy of the predicted bins. */
  readonly manipulationLoss: Tensor;
  /** The share of right bins. */
  readonly manipulationAccuracy: Tensor;
  /** Absent where there is no supervised term. */
  readonly supervisedLoss?: Tensor;
  /** How often the supervised head is right. */
  readonly supervisedAccuracy?: Tensor;
}

/** What linear evaluation has of them. */
export type LinearLosses = Required<Pick<Losses, "loss" | "supervisedLoss" | "supervisedAccuracy">>;

/** The online linear probe: weight normal with standard deviation 0.01, bias 0. */
export class SupervisedHead extends Module {
  readonly #linear: Linear;

  /** A head with fresh weights. */
  constructor(features: number, classes: number, generator: Generator | null) {
    super();
    this.#linear = this.child("linear_layer", new Linear(features, classes, { generator }));
    this.reinitialize(generator);
  }

  /** Draws fresh weights. */
  reinitialize(generator: Generator | null): void {
    noGrad(() => {
      this.#linear.weight.normal_(0, 0.01, generator);
      this.#linear.bias?.zero_();
    });
  }

  /** Class scores (N, classes) of features (N, F). */
  forward(features: Tensor): Tensor {
    return this.#linear.forward(features);
  }
}

/** Encoder, projection, manipulation head and supervised head, named as in the reference's checkpoints. */
export class Stec extends Module {
  /** Images to features. */
  readonly encoder: ResNet;
  /** Features to the unit vectors that NT-Xent compares. */
  readonly projection: Projection;
  /** Two views' features to the manipulation between them. */
  readonly manipulationHead: ManipulationHead;
  /** Null where images carry no labels. */
  readonly supervisedHead: SupervisedHead | null;

  /** A model with fresh weights. */
  constructor(options: StecOptions) {
    super();
    const { generator = null, classes } = options;
    this.encoder = this.child("encoder", new ResNet({ ...options, generator }));
    const features = this.encoder.featureWidth;
    this.projection = this.child(
      "projection",
      new Projection({
        inputs: features,
        hidden: options.projectionHidden,
        outputs: options.projectionOutputs,
        finalBatchNorm: options.projectionFinalBatchNorm,
        generator,
      }),
    );
    this.manipulationHead = this.child(
      "binned_prediction_model",
      new ManipulationHead({
        features,
        hidden: options.manipulationHidden,
        bins: options.bins,
        generator,
      }),
    );
    this.supervisedHead = classes > 0
      ? this.child("supervised_head", new SupervisedHead(features, classes, generator))
      : null;
  }

  /** Gives the supervised head fresh weights. */
  reinitializeSupervisedHead(generator: Generator | null): void {
    this.supervisedHead?.reinitialize(generator);
  }

  /** Freezes everything but the supervised head, for `stopGradient` 2. */
  freezeAllButSupervisedHead(): void {
    this.requiresGrad_(false);
    this.supervisedHead?.requiresGrad_(true);
  }

  /** The parameters that a loss of such a make-up gives gradients: not, for one, the encoder's unused classifier. */
  *reachedParameters({ supervisedLambda }: ObjectiveOptions): Iterable<Tensor> {
    for (const [name, parameter] of this.namedParameters()) {
      const reached = !name.startsWith("encoder.fc.") &&
        (supervisedLambda > 0 || !name.startsWith("supervised_head."));
      if (reached && parameter.requiresGrad) yield parameter;
    }
  }

  /** Class scores (N, classes) of images (N, 3, S, S). */
  classify(images: Tensor): Tensor {
    const head = this.#head("tell apart");
    return scope(() => head.forward(this.encoder.forward(images)));
  }

  /**
   * All terms of the loss of a batch:
   * discriminationLambda L_disc + manipulationLambda L_manip + supervisedLambda L_sup.
   *
   * Both views go through the encoder as one batch of 2N. Pairs of which a view was solarised do not count in L_manip.
   */
  losses(batch: Batch, options: ObjectiveOptions): Losses {
    if (options.stopGradient === 2) this.encoder.eval();
    const frozen = options.stopGradient === 2;
    return scope(() => {
      const features = frozen
        ? noGrad(() => this.encoder.forward(batch.views))
        : this.encoder.forward(batch.views);
      const selfSupervised = frozen
        ? noGrad(() => this.#selfSupervised(features, batch, options))
        : this.#selfSupervised(features, batch, options);
      const supervised = options.supervisedLambda > 0 ? this.#supervised(features, batch, options) : null;
      const { discriminationLoss, manipulationLoss } = selfSupervised;
      const self = discriminationLoss.mul(options.discriminationLambda)
        .add(manipulationLoss.mul(options.manipulationLambda));
      const loss = supervised === null
        ? self
        : self.add(supervised.supervisedLoss.mul(options.supervisedLambda));
      return { loss, featureSpread: featureSpread(features), ...selfSupervised, ...supervised };
    });
  }

  /**
   * The loss of linear evaluation, supervisedLambda L_sup: the encoder is in eval mode and takes no gradient, and there
   * is nothing to compute but the head's scores.
   */
  linearLosses({ views, labels }: LabelledViews, supervisedLambda: number): LinearLosses {
    const head = this.#head("learn");
    this.encoder.eval();
    return scope(() => {
      const terms = supervisedTerms(head.forward(noGrad(() => this.encoder.forward(views))), labels);
      return { loss: terms.supervisedLoss.mul(supervisedLambda), ...terms };
    });
  }

  #head(purpose: string): SupervisedHead {
    if (this.supervisedHead !== null) return this.supervisedHead;
    throw new TypeError(`Cannot ${purpose} classes: the model has no supervised head, the images no labels`);
  }

  #selfSupervised(features: Tensor, batch: Batch, options: ObjectiveOptions) {
    const [featuresA, featuresB] = features.chunk(2);
    const [z1, z2] = this.projection.forward(features).chunk(2);
    const contrast = ntXent(z1, z2, options.temperature, options);
    const logits = this.manipulationHead.forward(featuresA, featuresB);
    const kept = batch.solarized === null ? null : unsolarizedPairs(batch.solarized);
    const manipulation = this.manipulationHead.loss(logits, batch.manipulation, kept, options.gathering);
    return {
      discriminationLoss: contrast.loss,
      discriminationAccuracy: contrast.accuracy,
      contrastAccuracy: contrast.contrastAccuracy,
      contrastEntropy: contrast.contrastEntropy,
      manipulationLoss: manipulation.loss,
      manipulationAccuracy: manipulation.accuracy,
    };
  }

  /** Cross-entropy of the supervised head on both views or, where there is one, on the labelled batch. */
  #supervised(features: Tensor, batch: Batch, options: ObjectiveOptions) {
    const { labelled, labels } = batch;
    const head = this.supervisedHead;
    if (head === null || (labels === null && labelled === undefined)) return null;
    let inputs: Tensor, target: Tensor;
    if (labelled !== undefined) {
      const encode = () => this.encoder.forward(labelled.views);
      inputs = options.stopGradient === 0 ? encode() : noGrad(encode);
      target = labelled.labels;
    } else {
      inputs = options.stopGradient === 0 ? features : features.detach();
      target = cat([labels!, labels!]);
    }
    return supervisedTerms(head.forward(inputs), target);
  }
}

function supervisedTerms(logits: Tensor, target: Tensor) {
  return {
    supervisedLoss: crossEntropy(logits, target),
    supervisedAccuracy: noGrad(() => meanOf(logits.argmax(1).eq(target))),
  };
}

/** Pairs (N) of which neither of the 2N views was solarised. */
function unsolarizedPairs(solarized: Tensor): Tensor {
  const [a, b] = solarized.chunk(2);
  return a.logicalNot().logicalAnd(b.logicalNot());
}
