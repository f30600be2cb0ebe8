/**
 * From settings to the parts of a run.
 *
 * @module
 */

import type { TrainSettings } from "../config/settings.ts";
import type { ModelSettings } from "../config/settings.ts";
import { Adam } from "../optim/adam.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { larsGroups, plainGroups } from "../optim/param_groups.ts";
import { constantSchedule, cosineSchedule, type Schedule } from "../optim/schedule.ts";
import { Sgd } from "../optim/sgd.ts";
import { type ObjectiveOptions, Stec } from "../methods/stec.ts";
import { Generator } from "../torch/random.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { Plan } from "./plan.ts";

const MOMENTUM = 0.9;

/** The model of the settings, with weights drawn from the seed. */
export function buildModel(settings: ModelSettings, classes: number, seed: number): Stec {
  using generator = new Generator(seed);
  return new Stec({
    arch: settings.arch,
    firstConv: settings.first_conv,
    maxPool: settings.maxpool1,
    width: settings.width,
    projectionHidden: settings.hidden_mlp,
    projectionOutputs: settings.feat_dim,
    projectionFinalBatchNorm: settings.projection_final_batch_norm,
    manipulationHidden: settings.manip_hidden_mlp,
    bins: settings.n_bins,
    classes,
    generator,
  });
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

/** How the loss is made up. */
export function objectiveOf(settings: TrainSettings): ObjectiveOptions {
  return {
    discriminationLambda: settings.discrimination_lambda,
    manipulationLambda: settings.manip_lambda,
    supervisedLambda: settings.supervised_lambda,
    temperature: settings.temperature,
    stopGradient: settings.stop_gradient,
  };
}
