/**
 * What a training run asks of a method.
 *
 * @module
 */

import type { Batch } from "../data/batch.ts";
import type { Encoder } from "../nn/encoder.ts";
import type { Module } from "../nn/module.ts";
import type { Gathering } from "../nn/peers.ts";
import type { Generator } from "../torch/random.ts";
import type { Operand, Tensor } from "../torch/tensor.ts";
import type { SupervisedHead } from "./supervised_head.ts";

/** 0-dimensional tensors by the names that the log shows. */
export type NamedTensors = Readonly<Record<string, Tensor>>;

/** The loss of a batch, and what is reported beside it. */
export interface Losses {
  /** What back-propagation starts from, 0-dimensional. */
  readonly loss: Tensor;
  /** Further metrics. Their gradients are not used. */
  readonly metrics: NamedTensors;
}

/**
 * A way to learn a representation: networks, a loss, and what else changes after each update.
 *
 * A method is a `Module`, so its state dict is what checkpoints hold. Its constructor sets `requiresGrad_(false)` on
 * networks that back-propagation must not change.
 */
export interface Method extends Module {
  /** Images to features: what the method is for, and what evaluation and export use. */
  readonly encoder: Encoder;
  /** The online linear probe; null if the images have no labels. A method without one is not tested. */
  readonly supervisedHead?: SupervisedHead | null;
  /**
   * Whether a checkpoint to continue from may hold modules that this method lacks. They are ignored.
   */
  readonly partial?: boolean;

  /**
   * The loss of a batch, in training or eval mode. A mean over this process's part of the batch: gradients are averaged
   * over processes.
   *
   * @param peers how the batch is spread over processes
   */
  losses(batch: Batch, peers: Gathering): Losses;

  /**
   * The parameters that every back-propagation reaches. `Module` finds those that require gradients; override it if the
   * loss leaves some of them out.
   */
  learnedParameters(): Tensor[];

  /** Numbers that `afterUpdate` needs and that differ from step to step. */
  advance?(progress: number): readonly number[];

  /**
   * Changes the method's own state after an optimizer step. Not called after a step that was skipped because its loss or
   * its gradients were not finite. Runs inside a `scope` and `noGrad`.
   *
   * A CUDA graph records it, so it must not read values of tensors, and whatever differs from step to step must come from
   * `advance`.
   *
   * @param numbers what `advance` returned, or 0-dimensional tensors that hold it, on the method's device
   */
  afterUpdate?(numbers: readonly Operand[]): void;

  /** Called once the weights of another run's checkpoint were loaded to start a new run from. */
  restart?(): void;
}

/** What a method is built with beside its settings. */
export interface MethodContext {
  /** Makes an encoder with fresh weights; each call makes another one. */
  makeEncoder(): Encoder;
  /** The number of classes; 0 if the images have no labels. */
  readonly classes: number;
  /** The source of the initial weights; null: libtorch's own generator. */
  readonly generator: Generator | null;
}

/** One term of a loss. */
export interface Term extends Losses {
  /** The weight of the term. */
  readonly lambda: number;
}

/**
 * The sum of lambda times loss over the terms, with all their metrics.
 *
 * @param terms at least one that is not null; null stands for a term that this batch or these settings leave out
 * @param metrics what to report first
 */
export function weightedSum(terms: readonly (Term | null)[], metrics: NamedTensors = {}): Losses {
  const present = terms.filter((term) => term !== null);
  if (present.length === 0) throw new TypeError("Cannot learn: the loss has no term for this batch");
  return {
    loss: present.map(({ lambda, loss }) => loss.mul(lambda)).reduce((sum, term) => sum.add(term)),
    metrics: Object.assign({}, metrics, ...present.map((term) => term.metrics)),
  };
}
