/**
 * Between an optimiser and its state in a checkpoint, in PyTorch's form.
 *
 * @module
 */

import type { OptimizerState } from "../checkpoint/lightning.ts";
import { brief } from "../checkpoint/brief.ts";
import { StoredTensor, type TensorSource } from "../checkpoint/stored_tensor.ts";
import { loadInto, tensorSource } from "../checkpoint/tensors.ts";
import { Adam } from "../optim/adam.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { ParameterGroup } from "../optim/param_groups.ts";

/** The groups that share one optimiser in PyTorch: the reference has one for each of LARS's groups. */
function pytorchOptimizers(optimizer: Optimizer): (readonly ParameterGroup[])[] {
  const { groups } = optimizer;
  return groups.some((group) => group.trustRatio) ? groups.map((group) => [group]) : [groups];
}

/**
 * The optimiser's state as `torch.optim` would save it: parameters are numbered through their groups.
 *
 * @param learningRate that of the last step
 * @param initialRate the one that the schedule scales
 */
export function saveOptimizer(
  optimizer: Optimizer,
  learningRate: number,
  initialRate: number,
): OptimizerState[] {
  return pytorchOptimizers(optimizer).map((groups) => {
    const state = new Map<number, Map<string, TensorSource | number>>();
    let number = 0;
    const paramGroups = groups.map((group) => {
      const first = number;
      for (const name of group.parameters.keys()) {
        const tensors = optimizer.states().get(name);
        if (tensors !== undefined) {
          const entries = Object.entries(tensors).map(([key, tensor]) =>
            [key, tensorSource(tensor)] as const
          );
          state.set(number, new Map<string, TensorSource | number>(entries));
          if (optimizer instanceof Adam) state.get(number)!.set("step", optimizer.steps);
        }
        number++;
      }
      const params = Array.from({ length: number - first }, (_, i) => first + i);
      return { lr: learningRate, ...optimizer.settings(group), initial_lr: initialRate, params };
    });
    return { state, paramGroups };
  });
}

/**
 * Takes over a saved state, and nothing of what was before. Parameters without one (the reference does not save LARS's
 * momentum) start afresh.
 *
 * @throws {RangeError} if the state belongs to another optimiser or to other parameters
 */
export function loadOptimizer(optimizer: Optimizer, saved: readonly OptimizerState<StoredTensor>[]): void {
  const own = pytorchOptimizers(optimizer);
  optimizer.forget();
  if (saved.length === 0) return;
  if (saved.length !== own.length) {
    throw new RangeError(
      `Cannot continue: the checkpoint holds ${saved.length} optimisers, these settings make ${own.length}; ` +
        "use the --optimizer that it was trained with",
    );
  }
  for (const [i, groups] of own.entries()) {
    const parameters = groups.flatMap((group) => [...group.parameters]);
    for (const [number, values] of saved[i].state) {
      if (number >= parameters.length) {
        throw new RangeError(
          `Cannot continue: the checkpoint's optimiser has a parameter ${number}, ` +
            `these settings make ${parameters.length}`,
        );
      }
      loadParameter(optimizer, parameters[number][0], values, () => {
        const [name, parameter] = parameters[number];
        return optimizer.state(name, parameter);
      });
    }
  }
}

function loadParameter(
  optimizer: Optimizer,
  name: string,
  values: ReadonlyMap<string, StoredTensor | number>,
  state: () => ReturnType<Optimizer["state"]>,
): void {
  const names = [...values.keys()].filter((key) => key !== "step");
  if (names.length > 0 && !optimizer.stateNames.some((key) => values.has(key))) {
    throw new RangeError(
      `Cannot continue: the checkpoint's optimiser remembers ${names.map((key) => brief(key)).join(", ")}, ` +
        `these settings' ${optimizer.stateNames.join(", ")}; use the --optimizer that it was trained with`,
    );
  }
  for (const key of optimizer.stateNames) {
    const stored = values.get(key);
    if (!(stored instanceof StoredTensor)) continue;
    const target = state()[key];
    if (String(target.shape) !== String(stored.shape)) {
      throw new RangeError(
        `Cannot continue: ${key} of ${name} is [${stored.shape}] in the checkpoint, wanted [${target.shape}]`,
      );
    }
    loadInto(target, stored);
  }
  const step = values.get("step");
  if (optimizer instanceof Adam && step !== undefined) optimizer.steps = stepOf(step, name);
}

/** Adam's count of steps, a number here and a float32 tensor in PyTorch's own files. */
function stepOf(value: StoredTensor | number, name: string): number {
  const isScalar = value instanceof StoredTensor && value.dtype === "float32" && value.byteLength === 4;
  const step = isScalar ? new DataView(value.read().buffer).getFloat32(0, true) : value;
  if (typeof step === "number" && Number.isSafeInteger(step) && step >= 0) return step;
  throw new RangeError(
    `Cannot continue: the checkpoint's optimizer has done ${
      brief(step)
    } steps on ${name}, not a whole number`,
  );
}
