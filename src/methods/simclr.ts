/**
 * SimCLR, and S-TEC, which is SimCLR with a manipulation loss.
 *
 * Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020
 * (https://arxiv.org/abs/2002.05709); "Self-supervised learning through efference copies", NeurIPS 2022
 * (https://arxiv.org/abs/2210.09224).
 *
 * @module
 */

import { type Batch, pairsOf } from "../data/batch.ts";
import type { Encoder } from "../nn/encoder.ts";
import { Module } from "../nn/module.ts";
import type { Gathering } from "../nn/peers.ts";
import { scope } from "../torch/scope.ts";
import { featureSpread } from "./feature_spread.ts";
import { ManipulationHead, type ManipulationSettings } from "./manipulation_head.ts";
import { type Losses, type Method, type MethodContext, weightedSum } from "./method.ts";
import { ntXent, type NtXentOptions } from "./nt_xent.ts";
import { Projection, type ProjectionSettings } from "./projection.ts";
import { SupervisedHead, type SupervisedSettings } from "./supervised_head.ts";

/** Settings of SimCLR. */
export interface SimClrSettings
  extends
    ProjectionSettings,
    ManipulationSettings,
    SupervisedSettings,
    Pick<NtXentOptions, "similarityDtype"> {
  /** The weight of NT-Xent. */
  readonly discrimination_lambda: number;
  /** The temperature of NT-Xent. */
  readonly temperature: number;
}

/** Encoder, projection, manipulation head and supervised head, named as in the reference's checkpoints. */
export class SimClr extends Module implements Method {
  readonly encoder: Encoder;
  /** Features to the unit vectors that NT-Xent compares. */
  readonly projection: Projection;
  /** Two views' features to the manipulation between them. */
  readonly manipulationHead: ManipulationHead;
  readonly supervisedHead: SupervisedHead | null;
  readonly #settings: SimClrSettings;

  /** Networks with fresh weights. */
  constructor(settings: SimClrSettings, { makeEncoder, classes, generator }: MethodContext) {
    super();
    this.#settings = settings;
    this.encoder = this.child("encoder", makeEncoder());
    const { featureWidth } = this.encoder;
    this.projection = this.child("projection", new Projection(featureWidth, settings, generator));
    this.manipulationHead = this.child(
      "binned_prediction_model",
      new ManipulationHead(featureWidth, settings, generator),
    );
    this.supervisedHead = classes === 0
      ? null
      : this.child("supervised_head", new SupervisedHead(featureWidth, classes, settings, generator));
  }

  /**
   * discrimination_lambda NT-Xent + manip_lambda L_manip + supervised_lambda L_sup. Both views go through the encoder as
   * one batch of 2N.
   */
  losses(batch: Batch, peers: Gathering): Losses {
    const { discrimination_lambda, temperature, similarityDtype } = this.#settings;
    return scope(() => {
      const pairs = pairsOf(batch), features = this.encoder.forward(pairs.views);
      const [a, b] = this.projection.forward(features).chunk(2);
      const contrast = ntXent(a, b, temperature, { gathering: peers, similarityDtype });
      const terms = [
        {
          lambda: discrimination_lambda,
          loss: contrast.loss,
          metrics: {
            discrimination_loss: contrast.loss,
            discrimination_accuracy: contrast.accuracy,
            contrast_accuracy: contrast.contrastAccuracy,
            contrast_entropy: contrast.contrastEntropy,
          },
        },
        this.manipulationHead.term(features, pairs, peers),
        this.supervisedHead?.term(batch, features, this.encoder) ?? null,
      ];
      return weightedSum(terms, { feature_spread: featureSpread(features) });
    });
  }
}
