/**
 * How much a linear classifier gets out of features.
 *
 * @module
 */

import { Random } from "../base/random.ts";
import { enableGrad, noGrad } from "../torch/autograd.ts";
import { fromTypedArray, zeros } from "../torch/create.ts";
import { crossEntropy, linear } from "../torch/functional.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { LabelledFeatures } from "./features.ts";
import { lbfgs, type LbfgsOptions, type LbfgsResult } from "./lbfgs.ts";

/** Settings of the probe. */
export interface LinearProbeOptions {
  /** Weight of the L2 penalty, 0.5 weightDecay |W|^2, on standardised features. */
  readonly weightDecay?: number;
  /** Steps of L-BFGS at most. */
  readonly maxIterations?: number;
}

/** A probe that was tuned, trained and tested. */
export interface LinearProbeResult {
  /** The share of test images that it gets right. */
  readonly accuracy: number;
  /** The share of training images that it gets right. */
  readonly trainAccuracy: number;
  /** The weight decay that did best on the held-out part of the training images. */
  readonly weightDecay: number;
  /** How the last training went, on all training images. */
  readonly training: LbfgsResult;
}

/** The strongest weight decay that is tried; each further one is weaker by this factor. */
const STRONGEST = 1, FACTOR = Math.sqrt(10);
/** The weakest: below, nothing changes but the time that it takes. */
const WEAKEST = 1e-6;
/** The share of training images that the weight decay is chosen on. */
const HELD_OUT = 0.1;
/** The largest component of the gradient at which a training ends, for the choice and for the result. */
const TOLERANCE = { choice: 1e-4, result: 3e-5 } as const;
/** Keeps the choice of held-out images apart from whatever else is drawn from the same seed. */
const STREAM = 0x7062;
/** Logits that are in memory at once. */
const CHUNK_ELEMENTS = 1 << 24;

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
  return noGrad(() =>
    scope(() => {
      const regression = new Regression(train, classes);
      regression.fit(weightDecay, { maxIterations });
      return regression.accuracy(regression.standardise(test));
    })
  );
}

/**
 * The same, trained until it converges, with the weight decay for which a tenth of the training images, drawn from the
 * seed and held out, has the lowest cross-entropy.
 */
export function tunedLinearProbe(
  train: LabelledFeatures,
  test: LabelledFeatures,
  classes: number,
  options: { readonly seed: number; readonly maxIterations?: number },
): LinearProbeResult {
  const { seed, maxIterations = 1000 } = options;
  return noGrad(() =>
    scope(() => {
      const regression = new Regression(train, classes);
      const weightDecay = chooseWeightDecay(regression, seed, maxIterations);
      const training = regression.fit(weightDecay, { maxIterations, gradientTolerance: TOLERANCE.result });
      return {
        accuracy: regression.accuracy(regression.standardise(test)),
        trainAccuracy: regression.accuracy(regression.train),
        weightDecay,
        training,
      };
    })
  );
}

/** Goes from the strongest weight decay to weaker ones until the held-out images' cross-entropy rises. */
function chooseWeightDecay(regression: Regression, seed: number, maxIterations: number): number {
  const random = new Random(seed, STREAM), { labels } = regression.train;
  const drawn = Float32Array.from({ length: labels.numel }, () => random.uniform() < HELD_OUT ? 1 : 0);
  const heldOut = fromTypedArray(drawn).to({ device: labels.device }), rest = heldOut.neg().add(1);
  const options = { maxIterations, gradientTolerance: TOLERANCE.choice };
  let best = STRONGEST, lowest = Infinity;
  for (let weightDecay = STRONGEST; weightDecay > WEAKEST / 2; weightDecay /= FACTOR) {
    regression.fit(weightDecay, options, rest);
    const loss = regression.loss(heldOut);
    if (loss > lowest) break;
    [best, lowest] = [weightDecay, loss];
  }
  return best;
}

/** Multinomial logistic regression. It belongs to the open scope. */
class Regression {
  /** What it is trained on, standardised. */
  readonly train: LabelledFeatures;
  readonly #classes: number;
  readonly #mean: Tensor;
  readonly #scale: Tensor;
  /** For each class its weights and its bias: (classes (F + 1)). */
  readonly #parameters: Tensor;

  constructor(train: LabelledFeatures, classes: number) {
    const { features } = train, { device } = features;
    this.#classes = classes;
    this.#mean = features.mean([0]);
    this.#scale = features.std([0], 0).add(1e-6);
    this.#parameters = zeros([classes * (features.shape[1] + 1)], { device });
    this.train = this.standardise(train);
  }

  /** The same images with the mean and scale of the training features taken off. */
  standardise({ features, labels }: LabelledFeatures): LabelledFeatures {
    return { features: scope(() => features.sub(this.#mean).div_(this.#scale)), labels };
  }

  /**
   * Minimises the mean cross-entropy of the training images plus the penalty, from where the last call has ended.
   *
   * @param counted (N), 1 for each image that counts, else 0; null: all do
   */
  fit(weightDecay: number, options: LbfgsOptions, counted: Tensor | null = null): LbfgsResult {
    return lbfgs(this.#parameters, (at) =>
      enableGrad(() => {
        const parameters = at.detach().requiresGrad_();
        const penalty = this.#split(parameters)[0].pow(2).sum().mul(weightDecay / 2);
        penalty.backward();
        const loss = this.#loss(parameters, counted, (part) => part.backward());
        return { value: penalty.item() + loss, gradient: parameters.grad! };
      }), options);
  }

  /** The mean cross-entropy of the training images that count. */
  loss(counted: Tensor): number {
    return this.#loss(this.#parameters, counted, () => {});
  }

  /** The share of images that are right. */
  accuracy({ features, labels }: LabelledFeatures): number {
    let right = 0;
    this.#inChunks(labels.numel, (start, end) => {
      const scores = linear(features.slice(0, start, end), ...this.#split(this.#parameters));
      right += scores.argmax(1).eq(labels.slice(0, start, end)).sum().item();
    });
    return right / labels.numel;
  }

  #loss(parameters: Tensor, counted: Tensor | null, visit: (part: Tensor) => void): number {
    const { features, labels } = this.train;
    const total = counted === null ? labels.numel : counted.sum().item();
    let sum = 0;
    this.#inChunks(labels.numel, (start, end) => {
      const scores = linear(features.slice(0, start, end), ...this.#split(parameters));
      const losses = crossEntropy(scores, labels.slice(0, start, end), "none");
      // Double precision, or rounding would hide from the line search how far it has come.
      const kept = counted === null ? losses : losses.mul(counted.slice(0, start, end));
      const part = kept.double().sum().div(total);
      visit(part);
      sum += part.item();
    });
    return sum;
  }

  /** The matrix (classes, F) and the bias (classes). */
  #split(parameters: Tensor): [weight: Tensor, bias: Tensor] {
    const width = this.#mean.numel, rows = parameters.reshape(this.#classes, width + 1);
    return [rows.slice(1, 0, width), rows.select(1, width)];
  }

  /** Calls `body` for rows from `start` to `end`, so many at a time that their scores are few enough. */
  #inChunks(count: number, body: (start: number, end: number) => void): void {
    const size = Math.max(1, Math.floor(CHUNK_ELEMENTS / this.#classes));
    for (let start = 0; start < count; start += size) {
      scope(() => body(start, Math.min(start + size, count)));
    }
  }
}
