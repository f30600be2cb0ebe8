/**
 * Target networks: copies that slowly follow the networks that learn.
 *
 * @module
 */

import type { Layer } from "../nn/module.ts";
import { noGrad } from "../torch/autograd.ts";
import { foreachAdd_, foreachMulScalar_ } from "../torch/foreach.ts";
import { scope } from "../torch/scope.ts";
import type { Operand, Tensor } from "../torch/tensor.ts";
import type { ProjectionSettings } from "./projection.ts";

/** Settings of methods that predict what a target network makes of the other view. */
export interface TargetSettings extends Pick<ProjectionSettings, "hidden_mlp" | "feat_dim"> {
  /** The width of the predictor's hidden layer. */
  readonly predictor_hidden: number;
  /** The share of the target that stays after the first step. */
  readonly ema_base: number;
}

/**
 * The share of a target parameter that stays after optimizer step k of K, with progress = k / K:
 * tau = 1 - (1 - base) (cos(pi k / K) + 1) / 2. It grows from `base` to 1.
 *
 * Grill et al., "Bootstrap your own latent", 2020 (https://arxiv.org/abs/2006.07733).
 */
export function emaRate(base: number, progress: number): number {
  return 1 - (1 - base) * (Math.cos(Math.PI * progress) + 1) / 2;
}

/** An encoder and the projection behind it. */
export interface ProjectedEncoder {
  /** Images to features. */
  readonly encoder: Layer;
  /** Features to projections. */
  readonly projection: Layer;
}

/**
 * An encoder with a projection that no gradient reaches, and that follows an online one. It owns no tensors: the method
 * registers the networks under its own names.
 */
export class TargetNetwork {
  readonly #online: ProjectedEncoder;
  readonly #target: ProjectedEncoder;

  /** Makes the target's networks copies of the online ones, and stops their gradients. */
  constructor(online: ProjectedEncoder, target: ProjectedEncoder) {
    this.#online = online;
    this.#target = target;
    target.encoder.requiresGrad_(false);
    target.projection.requiresGrad_(false);
    this.copy();
  }

  /** Copies parameters and buffers from the online networks. */
  copy(): void {
    this.#target.encoder.loadStateDict(this.#online.encoder.stateDict());
    this.#target.projection.loadStateDict(this.#online.projection.stateDict());
  }

  /** Projections (N, D) of images (N, 3, S, S), without gradient. */
  forward(images: Tensor): Tensor {
    const { encoder, projection } = this.#target;
    return noGrad(() => scope(() => projection.forward(encoder.forward(images))));
  }

  /** The numbers of a step for `follow`: tau and 1 - tau. */
  rates(base: number, progress: number): readonly number[] {
    const tau = emaRate(base, progress);
    return [tau, 1 - tau];
  }

  /** Makes every parameter tau target + (1 - tau) online. Buffers stay. Call it inside a `scope` and `noGrad`. */
  follow([tau, rest]: readonly Operand[]): void {
    const targets = parametersOf(this.#target);
    foreachMulScalar_(targets, tau);
    foreachAdd_(targets, parametersOf(this.#online), rest);
  }
}

function parametersOf({ encoder, projection }: ProjectedEncoder): Tensor[] {
  return [...encoder.parameters(), ...projection.parameters()];
}
