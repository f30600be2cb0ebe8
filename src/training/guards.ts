/**
 * What stops a run that has gone wrong: a loss that is not finite, a representation that has collapsed.
 *
 * @module
 */

import type { Prepared } from "../data/batches.ts";
import type { Layer, Module } from "../nn/module.ts";
import { noGrad } from "../torch/autograd.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { type Learner, replay } from "./step.ts";

/** Below this spread all images have the same features, but for rounding: directions within a twentieth of a degree. */
export const COLLAPSED_SPREAD = 1e-3;

/** A run that went wrong. */
export class DivergedError extends Error {
  /** Tells it from other errors. */
  override readonly name = "DivergedError";
}

/** What is wrong with the metrics of a step, as a clause; null if nothing is. */
export function faultOf(metrics: Readonly<Record<string, number>>): string | null {
  const loss = metrics["train/loss"], spread = metrics["train/feature_spread"];
  if (loss !== undefined && !Number.isFinite(loss)) return `the loss is ${loss}`;
  if (spread !== undefined && !Number.isFinite(spread)) return "the features are not finite";
  if (spread !== undefined && spread < COLLAPSED_SPREAD) {
    return `the representation has collapsed: its features differ by ${spread.toExponential(1)} only`;
  }
  return null;
}

/**
 * The name of the first layer whose output is not finite while `body` runs, or of the first parameter that is not; null
 * if all are finite. Slow: every output is looked at.
 */
export function firstNonFinite(model: Module, body: () => void): string | null {
  for (const [name, parameter] of model.namedParameters()) {
    if (!isFinite(parameter)) return `the parameter ${name}`;
  }
  let found: string | null = null;
  const layers = [...model.namedModules()].filter(([, module]) => isLayer(module)) as [string, Layer][];
  for (const [name, layer] of layers) {
    const forward = layer.forward;
    // All arguments: some layers take more than the input.
    layer.forward = (...given) => {
      const output = forward.apply(layer, given);
      if (found === null && !isFinite(output)) found = `the output of ${name}`;
      return output;
    };
  }
  try {
    noGrad(() => scope(body));
  } finally {
    // The instances' own property goes, the class's method shows again.
    for (const [, layer] of layers) delete (layer as Partial<Layer>).forward;
  }
  return found;
}

function isLayer(module: Module): boolean {
  return "forward" in module && module.children().size === 0;
}

function isFinite(tensor: Tensor): boolean {
  using all = scope(() => tensor.detach().isFinite().all());
  return all.item() === 1;
}

/** A sentence about a step that went wrong: which, how, and where it first shows. */
export function describeFault(fault: string, steps: number, learner: Learner, prepared: Prepared): string {
  const place = firstNonFinite(learner.model, () => replay(learner, prepared));
  const where = place === null ? "" : `; the first that is not finite is ${place}`;
  return `step ${steps} went wrong: ${fault}${where}`;
}
