/**
 * Linear evaluation: a linear classifier on the features of a frozen encoder.
 *
 * @module
 */

import type { Batch } from "../data/batch.ts";
import type { Encoder } from "../nn/encoder.ts";
import { Module } from "../nn/module.ts";
import { scope } from "../torch/scope.ts";
import { type Losses, type Method, type MethodContext, weightedSum } from "./method.ts";
import { SupervisedHead, type SupervisedSettings } from "./supervised_head.ts";

/** A frozen encoder and a supervised head, which alone learns. */
export class LinearEvaluation extends Module implements Method {
  readonly encoder: Encoder;
  readonly supervisedHead: SupervisedHead;
  /** It continues from checkpoints that hold a projection and other heads, too. */
  readonly partial = true;

  /**
   * An encoder, to be loaded, and a head with fresh weights.
   *
   * @throws {TypeError} if there are no classes
   */
  constructor(settings: SupervisedSettings, { makeEncoder, classes, generator }: MethodContext) {
    super();
    if (classes === 0) throw new TypeError("Cannot evaluate linearly: the images have no labels");
    this.encoder = this.child("encoder", makeEncoder().requiresGrad_(false));
    this.supervisedHead = this.child(
      "supervised_head",
      new SupervisedHead(this.encoder.featureWidth, classes, settings, generator),
    );
    this.train();
  }

  /** The encoder stays in eval mode: its running statistics are used and left alone. */
  override train(mode = true): this {
    super.train(mode);
    this.encoder.eval();
    return this;
  }

  /** supervised_lambda L_sup of the labeled views. */
  losses({ labeled }: Batch): Losses {
    if (labeled === undefined) {
      throw new TypeError("Cannot evaluate linearly: the batch has no labeled views");
    }
    return scope(() => weightedSum([this.supervisedHead.termOf(labeled, this.encoder, false)]));
  }
}
