/**
 * ReLIC, alone or with a manipulation loss.
 *
 * ReLIC follows Mitrovic et al., "Representation learning via invariant causal mechanisms", 2021
 * (https://arxiv.org/abs/2010.07922). Its combination with efference copies is this project's own definition.
 *
 * @module
 */

import { type Batch, pairsOf } from "../data/batch.ts";
import type { Encoder } from "../nn/encoder.ts";
import { Module } from "../nn/module.ts";
import type { Gathering } from "../nn/peers.ts";
import { scope } from "../torch/scope.ts";
import type { Operand } from "../torch/tensor.ts";
import { featureSpread } from "./feature_spread.ts";
import { ManipulationHead, type ManipulationSettings } from "./manipulation_head.ts";
import { type Losses, type Method, type MethodContext, weightedSum } from "./method.ts";
import { Mlp } from "./projection.ts";
import { relicLoss } from "./relic_loss.ts";
import { SupervisedHead, type SupervisedSettings } from "./supervised_head.ts";
import { TargetNetwork, type TargetSettings } from "./target_network.ts";

/** Settings of ReLIC. */
export interface RelicSettings extends TargetSettings, ManipulationSettings, SupervisedSettings {
  /** The weight of ReLIC's loss. */
  readonly discrimination_lambda: number;
  /** The temperature of the cosines. */
  readonly temperature: number;
  /** The weight of the invariance in ReLIC's loss. */
  readonly relic_alpha: number;
}

/** Online and target networks, a predictor, a manipulation head and a supervised head. */
export class Relic extends Module implements Method {
  readonly encoder: Encoder;
  /** Features to projections. */
  readonly projection: Mlp;
  /** Projections of one view to the target's projections of the other. */
  readonly predictor: Mlp;
  /** The encoder and the projection that follow the online ones. */
  readonly target: TargetNetwork;
  /** Two views' features to the manipulation between them. */
  readonly manipulationHead: ManipulationHead;
  readonly supervisedHead: SupervisedHead | null;
  readonly #settings: RelicSettings;

  /** Networks with fresh weights; the target starts as a copy. */
  constructor(settings: RelicSettings, { makeEncoder, classes, generator }: MethodContext) {
    super();
    this.#settings = settings;
    const { hidden_mlp: hidden, feat_dim: outputs, predictor_hidden } = settings;
    this.encoder = this.child("encoder", makeEncoder());
    const features = this.encoder.featureWidth, inputs = features;
    this.projection = this.child("projection", new Mlp({ inputs, hidden, outputs, generator }));
    this.predictor = this.child(
      "predictor",
      new Mlp({ inputs: outputs, hidden: predictor_hidden, outputs, generator }),
    );
    const encoder = this.child("target_encoder", makeEncoder());
    const projection = this.child("target_projection", new Mlp({ inputs, hidden, outputs, generator }));
    this.target = new TargetNetwork(this, { encoder, projection });
    this.manipulationHead = this.child(
      "binned_prediction_model",
      new ManipulationHead(features, settings, generator),
    );
    this.supervisedHead = classes === 0
      ? null
      : this.child("supervised_head", new SupervisedHead(features, classes, settings, generator));
  }

  /**
   * discrimination_lambda L_ReLIC + manip_lambda L_manip + supervised_lambda L_sup. Both views go through the online
   * networks as one batch of 2N, and through the target as another.
   */
  losses(batch: Batch, peers: Gathering): Losses {
    const { discrimination_lambda, temperature, relic_alpha: alpha } = this.#settings;
    return scope(() => {
      const pairs = pairsOf(batch), features = this.encoder.forward(pairs.views);
      const [qa, qb] = this.predictor.forward(this.projection.forward(features)).chunk(2);
      const [za, zb] = this.target.forward(pairs.views).chunk(2);
      const relic = relicLoss({ qa, qb, za, zb }, { temperature, alpha }, peers);
      const terms = [
        {
          lambda: discrimination_lambda,
          loss: relic.loss,
          metrics: {
            discrimination_loss: relic.loss,
            discrimination_accuracy: relic.accuracy,
            contrast_loss: relic.contrast,
            invariance_loss: relic.invariance,
          },
        },
        this.manipulationHead.term(features, pairs, peers),
        this.supervisedHead?.term(batch, features, this.encoder) ?? null,
      ];
      return weightedSum(terms, { feature_spread: featureSpread(features) });
    });
  }

  /** tau and 1 - tau of the step. */
  advance(progress: number): readonly number[] {
    return this.target.rates(this.#settings.ema_base, progress);
  }

  /** Moves the target. */
  afterUpdate(rates: readonly Operand[]): void {
    this.target.follow(rates);
  }

  /** Makes the target a copy again. */
  restart(): void {
    this.target.copy();
  }
}
