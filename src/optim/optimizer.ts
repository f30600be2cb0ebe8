/**
 * What every optimiser has in common.
 *
 * @module
 */

import { noGrad } from "../torch/autograd.ts";
import { zerosLike } from "../torch/create.ts";
import { keep, scope } from "../torch/scope.ts";
import type { Operand, Tensor } from "../torch/tensor.ts";
import type { ParameterGroup } from "./param_groups.ts";

/** What an optimiser remembers of one parameter, under PyTorch's names (`momentum_buffer`, `exp_avg`, ...). */
export type ParameterState = Readonly<Record<string, Tensor>>;

/** Settings of a group by their names in PyTorch. */
export type GroupSettings = Readonly<Record<string, number | boolean | null | readonly number[]>>;

/** The parameters of a group that have a gradient now, their gradients and their states, entry by entry. */
export interface Active {
  /** The parameters. */
  readonly parameters: readonly Tensor[];
  /** Their gradients. */
  readonly gradients: readonly Tensor[];
  /** What is remembered of them. */
  readonly states: readonly ParameterState[];
}

/** Changes parameters by their gradients. Parameters without a gradient are left alone. */
export abstract class Optimizer implements Disposable {
  /** The parameters and how each group is treated. */
  readonly groups: readonly ParameterGroup[];
  readonly #states = new Map<string, ParameterState>();

  /** The names of the tensors that are remembered of each parameter, zeros at first. */
  readonly stateNames: readonly string[];

  /** For the parameters of the groups. */
  constructor(groups: readonly ParameterGroup[], stateNames: readonly string[]) {
    this.stateNames = stateNames;
    this.groups = groups;
  }

  /** One step with the gradients that the parameters carry, at the learning rate given. Call it inside a `scope`. */
  step(learningRate: number): void {
    const numbers = this.advance(learningRate);
    noGrad(() => this.update(numbers));
  }

  /** Counts a step, and returns the numbers that it needs and that differ from step to step. */
  abstract advance(learningRate: number): readonly number[];

  /**
   * Changes the parameters, without counting a step. Call it inside a `scope` and `noGrad`.
   *
   * @param numbers what `advance` has returned, or tensors without dimensions that hold it, on the parameters' device
   */
  abstract update(numbers: readonly Operand[]): void;

  /** A group's settings, but for its learning rate, under the names that PyTorch's optimisers save them with. */
  abstract settings(group: ParameterGroup): GroupSettings;

  /** What is remembered of a parameter; made when first asked for. */
  state(name: string, parameter: Tensor): ParameterState {
    let state = this.#states.get(name);
    if (state === undefined) {
      const zeros = () => keep(scope(() => zerosLike(parameter).detach()));
      const entries = this.stateNames.map((key) => [key, zeros()] as const);
      state = Object.fromEntries(entries);
      this.#states.set(name, state);
    }
    return state;
  }

  /** What is remembered of each parameter that has been changed at least once, by the parameter's name. */
  states(): ReadonlyMap<string, ParameterState> {
    return this.#states;
  }

  /** Collects the parameters of a group that have a gradient. */
  protected active(group: ParameterGroup): Active {
    const parameters: Tensor[] = [], gradients: Tensor[] = [], states: ParameterState[] = [];
    for (const [name, parameter] of group.parameters) {
      const gradient = parameter.grad;
      if (gradient === null) continue;
      parameters.push(parameter);
      gradients.push(gradient);
      states.push(this.state(name, parameter));
    }
    return { parameters, gradients, states };
  }

  /** Forgets all steps. What is remembered becomes zeros in place, since a recorded step uses these very tensors. */
  forget(): void {
    for (const state of this.#states.values()) {
      for (const tensor of Object.values(state)) tensor.zero_();
    }
  }

  /** Frees what is remembered. */
  [Symbol.dispose](): void {
    for (const state of this.#states.values()) {
      for (const tensor of Object.values(state)) tensor[Symbol.dispose]();
    }
    this.#states.clear();
  }
}
