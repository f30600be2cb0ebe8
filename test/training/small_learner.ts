/**
 * A small network that learns, for tests of steps.
 *
 * @module
 */

import { resolveTrain } from "../../src/config/resolve.ts";
import type { OptimizerName, TrainSettings } from "../../src/config/settings.ts";
import type { MethodName } from "../../src/methods/registry.ts";
import type { GradScaler } from "../../src/optim/grad_scaler.ts";
import { buildModel, buildOptimizer } from "../../src/training/build.ts";
import type { Learner } from "../../src/training/step.ts";
import type { DType } from "../../src/torch/dtype.ts";
import { BUILDERS } from "../methods/made_method.ts";

/** The settings of a small network. */
export function smallSettings(
  optimizer: OptimizerName = "lars",
  method: MethodName = "simclr",
): TrainSettings {
  return resolveTrain({
    dataset: "cifar10",
    arch: "resnet18",
    width: 4,
    hidden_mlp: 8,
    feat_dim: 8,
    manip_lambda: 1,
    weight_decay: 1e-2,
    optimizer,
    method,
  });
}

/** A learner on the CPU. */
export function learnerOf(
  settings: TrainSettings,
  { dtype = "float32", scaler }: { dtype?: DType; scaler?: GradScaler } = {},
): Learner {
  const model = buildModel(BUILDERS[settings.method as MethodName], settings, 10, 1).to({ dtype });
  return {
    model,
    optimizer: buildOptimizer(settings, model.namedParameters()),
    device: "cpu",
    precision: null,
    scaler,
  };
}

/** Frees what a learner holds. */
export function free({ model, optimizer, scaler }: Learner): void {
  for (const part of [model, optimizer, scaler]) part?.[Symbol.dispose]();
}
