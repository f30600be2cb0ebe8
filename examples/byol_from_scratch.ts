/**
 * BYOL as a user writes a method, with a manipulation head and a supervised head.
 *
 *     deno task train --method ./examples/byol_from_scratch.ts --set ema_base=0.98
 *
 * @module
 */

import * as stec from "@stec/stec";
import { z } from "zod";

export const flags = z.object({ ema_base: z.coerce.number().min(0).max(1).default(0.99) });

type Settings = stec.AllMethodSettings & z.output<typeof flags>;

class ByolFromScratch extends stec.Module implements stec.Method {
  readonly encoder: stec.Encoder;
  readonly supervisedHead: stec.SupervisedHead | null;
  readonly #manipulation: stec.ManipulationHead;
  readonly #online: stec.Layer[];
  readonly #predictor: stec.Layer;
  readonly #target: stec.Layer[];

  constructor(readonly settings: Settings, { makeEncoder, classes, generator }: stec.MethodContext) {
    super();
    const { hidden_mlp: hidden, feat_dim: outputs } = settings;
    const mlp = (inputs: number) => new stec.Mlp({ inputs, hidden, outputs, generator });
    this.encoder = this.child("encoder", makeEncoder());
    const width = this.encoder.featureWidth;
    this.#online = [this.encoder, this.child("projection", mlp(width))];
    this.#predictor = this.child("predictor", mlp(outputs));
    this.#target = [this.child("target_encoder", makeEncoder()), this.child("target_projection", mlp(width))];
    for (const network of this.#target) network.requiresGrad_(false);
    const manipulation = new stec.ManipulationHead(width, settings, generator);
    this.#manipulation = this.child("binned_prediction_model", manipulation);
    const head = classes > 0 ? new stec.SupervisedHead(width, classes, settings, generator) : null;
    this.supervisedHead = head && this.child("supervised_head", head);
    this.restart();
  }

  losses(batch: stec.Batch, peers: stec.Gathering): stec.Losses {
    return stec.scope(() => {
      const pairs = stec.pairsOf(batch), features = this.encoder.forward(pairs.views);
      const predictions = this.#predictor.forward(this.#online[1].forward(features));
      const targets = stec.noGrad(() => this.#target.reduce((x, network) => network.forward(x), pairs.views));
      const [qa, qb] = stec.normalize(predictions.float()).chunk(2);
      const [za, zb] = stec.normalize(targets.float()).chunk(2);
      const loss = qa.mul(zb).add(qb.mul(za)).sum([1]).mean().mul(-2).add(4);
      return stec.weightedSum([
        { lambda: 1, loss, metrics: { discrimination_loss: loss } },
        this.#manipulation.term(features, pairs, peers),
        this.supervisedHead?.term(batch, features, this.encoder) ?? null,
      ], { feature_spread: stec.featureSpread(features) });
    });
  }

  /** The shares of the target and of the online networks in the next target. */
  advance(progress: number): readonly number[] {
    const change = (1 - this.settings.ema_base) * (Math.cos(Math.PI * progress) + 1) / 2;
    return [1 - change, change];
  }

  afterUpdate([stays, comes]: readonly stec.Operand[]): void {
    const [online, target] = [this.#online, this.#target].map((all) =>
      all.flatMap((each) => each.parameters())
    );
    stec.foreachMulScalar_(target, stays);
    stec.foreachAdd_(target, online, comes);
  }

  restart(): void {
    this.#target.forEach((network, i) => network.loadStateDict(this.#online[i].stateDict()));
  }
}

/** Builds the method. */
export function build(settings: Settings, context: stec.MethodContext): stec.Method {
  return new ByolFromScratch(settings, context);
}
