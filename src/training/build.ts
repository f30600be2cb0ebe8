/**
 * From settings to the parts of a run.
 *
 * @module
 */

import type { LossSettings, MethodSettings, ModelSettings, TrainSettings } from "../config/settings.ts";
import type { Method } from "../methods/method.ts";
import type { MethodBuilder } from "../methods/registry.ts";
import type { Encoder } from "../nn/encoder.ts";
import { ResNet } from "../nn/resnet.ts";
import { Adam } from "../optim/adam.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { larsGroups, plainGroups } from "../optim/param_groups.ts";
import { constantSchedule, cosineSchedule, type Schedule } from "../optim/schedule.ts";
import { Sgd } from "../optim/sgd.ts";
import { Generator } from "../torch/random.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { Plan } from "./plan.ts";

const MOMENTUM = 0.9;

/** The encoder of the settings, with fresh weights. */
export function buildEncoder(settings: ModelSettings, generator: Generator | null): Encoder {
  const { arch, width, first_conv: firstConv, maxpool1: maxPool } = settings;
  return new ResNet({ arch, width, firstConv, maxPool, generator });
}

/** The method of the settings, with weights drawn from the seed. */
export function buildModel(
  build: MethodBuilder,
  settings: MethodSettings & ModelSettings & LossSettings,
  classes: number,
  seed: number,
): Method {
  using generator = new Generator(seed);
  return build(settings, { makeEncoder: () => buildEncoder(settings, generator), classes, generator });
}

/** The optimiser of the settings for the parameters that learn. */
export function buildOptimizer(settings: TrainSettings, parameters: Iterable<[string, Tensor]>): Optimizer {
  const { optimizer, weight_decay, nesterov, exclude_bn_bias } = settings;
  switch (optimizer) {
    case "lars":
      return new Sgd(larsGroups(parameters, weight_decay), { momentum: MOMENTUM, nesterov });
    case "sgd":
      return new Sgd(plainGroups(parameters, weight_decay, exclude_bn_bias), {
        momentum: MOMENTUM,
        nesterov,
      });
    case "adam":
      return new Adam(plainGroups(parameters, weight_decay, exclude_bn_bias));
  }
}

/** The factor on the learning rate for each step. */
export function buildSchedule(settings: TrainSettings, plan: Plan): Schedule {
  return settings.lr_scheduler === "cosine"
    ? cosineSchedule(plan.warmupSteps, plan.scheduleSteps)
    : constantSchedule;
}
