/**
 * The scaling of gradients that float16 needs.
 *
 * @module
 */

import { noGrad } from "../torch/autograd.ts";
import { full, tensor, zeros } from "../torch/create.ts";
import { callInPlace } from "../torch/operator.ts";
import { keep, scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { Optimizer } from "./optimizer.ts";

/** What a scaler remembers, under PyTorch's names. */
export interface GradScalerState {
  /** The factor on the loss. */
  readonly scale: number;
  /** What the factor is multiplied by after `growth_interval` good steps. */
  readonly growth_factor: number;
  /** What it is multiplied by after a step that was left out. */
  readonly backoff_factor: number;
  /** Good steps in a row after which it grows. */
  readonly growth_interval: number;
  /** Good steps since it last changed. */
  readonly _growth_tracker: number;
}

const INITIAL: GradScalerState = {
  scale: 2 ** 16,
  growth_factor: 2,
  backoff_factor: 0.5,
  growth_interval: 2000,
  _growth_tracker: 0,
};

/**
 * Keeps small gradients from vanishing in float16, as `torch.amp.GradScaler`: the loss is multiplied by a factor before
 * back-propagation and the gradients are divided by it before the optimiser sees them. Where one of them is not finite
 * the step is left out and the factor is halved; after 2,000 good steps in a row it is doubled.
 */
export class GradScaler implements Disposable {
  /** Steps that were left out, of this scaler. */
  skipped = 0;
  #settings: GradScalerState = INITIAL;
  readonly #scale: Tensor;
  readonly #tracker: Tensor;
  readonly #found: Tensor;
  readonly #inverse: Tensor;

  /** A scaler with PyTorch's defaults. */
  constructor(device: string) {
    const make = (value: number) => keep(full([], value, { device }));
    this.#scale = make(INITIAL.scale);
    this.#inverse = make(1 / INITIAL.scale);
    this.#found = make(0);
    this.#tracker = keep(zeros([], { dtype: "int32", device }));
  }

  /** The loss times the factor: what to back-propagate from. */
  scale(loss: Tensor): Tensor {
    return loss.mul(this.#scale);
  }

  /**
   * Divides the gradients by the factor, lets the optimiser step unless one of them is not finite, and adapts the
   * factor. Waits for the device, as PyTorch does: whether to step depends on the gradients. Call it inside a `scope`.
   *
   * @returns whether the optimiser stepped
   */
  step(optimizer: Optimizer, learningRate: number): boolean {
    const gradients = optimizer.groups.flatMap(({ parameters }) =>
      [...parameters.values()].map((parameter) => parameter.grad).filter((gradient) => gradient !== null)
    );
    const finite = noGrad(() => this.#unscale_(gradients));
    if (finite) optimizer.step(learningRate);
    else this.skipped++;
    return finite;
  }

  /** Whether all gradients are finite; adapts the factor by that. */
  #unscale_(gradients: readonly Tensor[]): boolean {
    const { growth_factor, backoff_factor, growth_interval } = this.#settings;
    this.#found.zero_();
    // In double precision, as PyTorch does it.
    this.#inverse.copy_(this.#scale.double().pow(-1));
    if (gradients.length > 0) {
      callInPlace(
        "aten::_amp_foreach_non_finite_check_and_unscale_",
        gradients,
        this.#found,
        this.#inverse,
      );
    }
    callInPlace(
      "aten::_amp_update_scale_",
      this.#scale,
      this.#tracker,
      this.#found,
      growth_factor,
      backoff_factor,
      growth_interval,
    );
    return this.#found.item() === 0;
  }

  /** What to save. */
  state(): GradScalerState {
    return { ...this.#settings, scale: this.#scale.item(), _growth_tracker: this.#tracker.item() };
  }

  /**
   * Goes on where a saved scaler was.
   *
   * @throws {RangeError} if a number of the state is missing or makes no sense
   */
  load(saved: { readonly [K in keyof GradScalerState]?: unknown }): void {
    const number = (name: keyof GradScalerState): number => {
      const value = saved[name], least = name === "_growth_tracker" ? 0 : Number.MIN_VALUE;
      if (typeof value === "number" && Number.isFinite(value) && value >= least) return value;
      const found = typeof value === "number" ? value : "not a number";
      throw new RangeError(`Cannot continue: the gradient scaler's ${name} is ${found} in the checkpoint`);
    };
    const state = {
      scale: number("scale"),
      growth_factor: number("growth_factor"),
      backoff_factor: number("backoff_factor"),
      growth_interval: number("growth_interval"),
      _growth_tracker: number("_growth_tracker"),
    };
    this.#settings = state;
    noGrad(() =>
      scope(() => {
        this.#scale.copy_(tensor(state.scale));
        this.#tracker.copy_(tensor(state._growth_tracker));
      })
    );
  }

  /** Frees its tensors. */
  [Symbol.dispose](): void {
    for (const own of [this.#scale, this.#inverse, this.#found, this.#tracker]) own[Symbol.dispose]();
  }
}
