/**
 * Adam.
 *
 * @module
 */

import {
  foreachAdd,
  foreachAddcdiv_,
  foreachAddcmul_,
  foreachAddScalar_,
  foreachDiv_,
  foreachLerp_,
  foreachMulScalar_,
  foreachSqrt,
} from "../torch/foreach.ts";
import type { Operand } from "../torch/tensor.ts";
import { type GroupSettings, Optimizer } from "./optimizer.ts";
import type { ParameterGroup } from "./param_groups.ts";

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPS = 1e-8;

/**
 * Adam (Kingma and Ba, 2015) with an L2 penalty, step by step as `torch.optim.Adam`:
 * g += weightDecay w; m = 0.9 m + 0.1 g; v = 0.999 v + 0.001 g^2; w -= lr m' / (sqrt(v') + 1e-8), where the primes stand
 * for division by 1 - 0.9^t and 1 - 0.999^t.
 */
export class Adam extends Optimizer {
  /** Steps taken so far, t. */
  steps = 0;

  /** For the parameters of the groups. */
  constructor(groups: readonly ParameterGroup[]) {
    super(groups, ["exp_avg", "exp_avg_sq"]);
  }

  /** Forgets all steps. */
  override forget(): void {
    super.forget();
    this.steps = 0;
  }

  /** sqrt(1 - 0.999^t) and -lr / (1 - 0.9^t). */
  override advance(learningRate: number): readonly number[] {
    this.steps++;
    return [Math.sqrt(1 - BETA2 ** this.steps), -learningRate / (1 - BETA1 ** this.steps)];
  }

  /** One step with the gradients that the parameters carry. */
  override update([correction, rate]: readonly Operand[]): void {
    for (const group of this.groups) this.#updateGroup(group, correction, rate);
  }

  /** Those of `torch.optim.Adam`. */
  override settings({ weightDecay: weight_decay }: ParameterGroup): GroupSettings {
    const plain = { maximize: false, foreach: null, capturable: false, differentiable: false, fused: null };
    return {
      betas: [BETA1, BETA2],
      eps: EPS,
      weight_decay,
      amsgrad: false,
      ...plain,
      decoupled_weight_decay: false,
    };
  }

  #updateGroup(group: ParameterGroup, correction: Operand, rate: Operand): void {
    const { parameters, gradients, states } = this.active(group);
    if (parameters.length === 0) return;
    const g = group.weightDecay === 0 ? gradients : foreachAdd(gradients, parameters, group.weightDecay);
    const m = states.map((state) => state.exp_avg), v = states.map((state) => state.exp_avg_sq);
    foreachLerp_(m, g, 1 - BETA1);
    foreachMulScalar_(v, BETA2);
    foreachAddcmul_(v, g, g, 1 - BETA2);
    const denominator = foreachSqrt(v);
    foreachDiv_(denominator, correction);
    foreachAddScalar_(denominator, EPS);
    foreachAddcdiv_(parameters, m, denominator, rate);
  }
}
