/**
 * Stochastic gradient descent with momentum, and LARS, which is the same with a trust ratio.
 *
 * @module
 */

import { foreachAdd, foreachAdd_, foreachMul_, foreachMulScalar_, foreachNorm } from "../torch/foreach.ts";
import { stack, where } from "../torch/functional.ts";
import type { Operand, Tensor } from "../torch/tensor.ts";
import { type GroupSettings, Optimizer } from "./optimizer.ts";
import type { ParameterGroup } from "./param_groups.ts";

/** The reference's trust coefficient and the constant that keeps its quotient finite. */
const TRUST_COEFFICIENT = 0.001;
const TRUST_EPS = 1e-8;

/** Settings of `Sgd`. */
export interface SgdOptions {
  /** How much of the last step goes on; 0: none. */
  readonly momentum: number;
  /** Whether to look ahead along the momentum. */
  readonly nesterov: boolean;
}

/**
 * SGD: d = gradient + weightDecay w; m = momentum m + d; w -= lr m, or with Nesterov w -= lr (d + momentum m).
 *
 * In groups with a trust ratio it is LARS (You et al., 2017, as the reference has it): with the norms p of w and g of
 * the gradient, d is scaled by 0.001 p / (g + p weightDecay + 1e-8) where weightDecay, p and g are not 0, and is the
 * plain gradient where one of them is.
 */
export class Sgd extends Optimizer {
  readonly #options: SgdOptions;

  /** For the parameters of the groups. */
  constructor(groups: readonly ParameterGroup[], options: SgdOptions) {
    super(groups, options.momentum === 0 ? [] : ["momentum_buffer"]);
    this.#options = options;
  }

  /** The learning rate, negative. */
  override advance(learningRate: number): readonly number[] {
    return [-learningRate];
  }

  /** One step with the gradients that the parameters carry. */
  override update([rate]: readonly Operand[]): void {
    for (const group of this.groups) this.#updateGroup(group, rate);
  }

  /** Those of `torch.optim.SGD`, or of the reference's LARS. */
  override settings({ weightDecay: weight_decay, trustRatio }: ParameterGroup): GroupSettings {
    const { momentum, nesterov } = this.#options;
    const settings = { momentum, dampening: 0, weight_decay, nesterov };
    return trustRatio
      ? { ...settings, trust_coefficient: TRUST_COEFFICIENT, eps: TRUST_EPS }
      : { ...settings, maximize: false, foreach: null, differentiable: false, fused: null };
  }

  /** @param rate the learning rate, negative */
  #updateGroup(group: ParameterGroup, rate: Operand): void {
    const { momentum, nesterov } = this.#options;
    const { parameters, gradients, states } = this.active(group);
    if (parameters.length === 0) return;
    const direction = descent(group, parameters, gradients);
    if (momentum === 0) return foreachAdd_(parameters, direction, rate);
    const buffers = states.map((state) => state.momentum_buffer);
    foreachMulScalar_(buffers, momentum);
    foreachAdd_(buffers, direction);
    const update = nesterov ? foreachAdd(direction, buffers, momentum) : buffers;
    foreachAdd_(parameters, update, rate);
  }
}

function descent(
  group: ParameterGroup,
  parameters: readonly Tensor[],
  gradients: readonly Tensor[],
): readonly Tensor[] {
  const { weightDecay, trustRatio } = group;
  if (weightDecay === 0) return gradients;
  const direction = foreachAdd(gradients, parameters, weightDecay);
  if (trustRatio) foreachMul_(direction, trustRatios(parameters, gradients, weightDecay));
  return direction;
}

function trustRatios(
  parameters: readonly Tensor[],
  gradients: readonly Tensor[],
  weightDecay: number,
): Tensor[] {
  const p = stack(foreachNorm(parameters)), g = stack(foreachNorm(gradients));
  const ratio = p.mul(TRUST_COEFFICIENT).div(p.mul(weightDecay).add(g).add(TRUST_EPS));
  // Where w is 0, so is its decay and d is the gradient as it is; where the gradient is 0, so is d.
  return where(g.eq(0), 0, where(p.eq(0), 1, ratio)).to({ dtype: p.dtype }).unbind();
}
