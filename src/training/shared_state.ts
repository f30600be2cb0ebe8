/**
 * One state of a run for all processes that share it.
 *
 * @module
 */

import { ALONE } from "../nn/peers.ts";
import { Adam } from "../optim/adam.ts";
import { fromTypedArray } from "../torch/create.ts";
import { scope } from "../torch/scope.ts";
import type { Learner } from "./step.ts";

/**
 * Copies the model, the optimiser and the gradient scaler of process 0 to all others.
 *
 * @param steps how many process 0 has done
 * @returns the same number in all processes
 */
export function shareState(learner: Learner, steps: number): number {
  const { model, optimizer, scaler, peers = ALONE } = learner;
  if (peers.size === 1) return steps;
  const share = (numbers: readonly number[]): number[] =>
    scope(() => {
      const shared = fromTypedArray(Float64Array.from(numbers));
      peers.share([shared]);
      return shared.toNumbers();
    });
  const parameters = optimizer.groups.flatMap((group) => [...group.parameters]);
  const remembered = share(parameters.map(([name]) => optimizer.states().has(name) ? 1 : 0));
  const states = parameters.filter((_, i) => remembered[i] === 1)
    .flatMap(([name, parameter]) => Object.values(optimizer.state(name, parameter)));
  peers.share([...model.stateDict().values(), ...states]);
  if (optimizer instanceof Adam) [optimizer.steps] = share([optimizer.steps]);
  if (scaler !== undefined) {
    const names = Object.keys(scaler.state()), values = share(Object.values(scaler.state()));
    scaler.load(Object.fromEntries(names.map((name, i) => [name, values[i]])));
  }
  return share([steps])[0];
}
