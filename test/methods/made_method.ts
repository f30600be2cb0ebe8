/**
 * Methods with small or golden sizes, for tests.
 *
 * @module
 */

import { Byol } from "../../src/methods/byol.ts";
import { LinearEvaluation } from "../../src/methods/linear_evaluation.ts";
import type { MethodContext } from "../../src/methods/method.ts";
import type { AllMethodSettings, MethodBuilder, MethodName } from "../../src/methods/registry.ts";
import { Relic } from "../../src/methods/relic.ts";
import { SimClr, type SimClrSettings } from "../../src/methods/simclr.ts";
import type { Architecture } from "../../src/nn/architectures.ts";
import { ResNet } from "../../src/nn/resnet.ts";

/** Builds SimCLR. */
export function simClr(settings: SimClrSettings, context: MethodContext): SimClr {
  return new SimClr(settings, context);
}

/** Builds each of the program's methods. */
export const BUILDERS: Readonly<Record<MethodName, MethodBuilder>> = {
  simclr: simClr,
  byol: (settings, context) => new Byol(settings, context),
  relic: (settings, context) => new Relic(settings, context),
};

/** Builds linear evaluation. */
export function linearEvaluation(settings: SimClrSettings, context: MethodContext): LinearEvaluation {
  return new LinearEvaluation(settings, context);
}

/** The settings of the golden steps. */
export const GOLDEN_SETTINGS: SimClrSettings = {
  hidden_mlp: 512,
  feat_dim: 64,
  projection_final_batch_norm: true,
  manip_hidden_mlp: [512],
  n_bins: 6,
  discrimination_lambda: 2,
  manip_lambda: 1,
  supervised_lambda: 1,
  stop_gradient: 1,
  temperature: 0.5,
};

/** The settings of the golden steps of BYOL and ReLIC. */
export const PREDICTIVE_SETTINGS: AllMethodSettings = {
  ...GOLDEN_SETTINGS,
  hidden_mlp: 128,
  feat_dim: 32,
  predictor_hidden: 64,
  ema_base: 0.9,
  relic_alpha: 1,
  discrimination_lambda: 1,
  temperature: 0.2,
};

/** How the encoder is built, and how many classes there are. */
export interface ContextOptions {
  readonly arch?: Architecture;
  readonly width?: number;
  readonly firstConv?: boolean;
  readonly classes?: number;
}

/** A ResNet without max-pooling, and ten classes. */
export function contextOf(options: ContextOptions = {}): MethodContext {
  const { arch = "resnet18", width = 64, firstConv = false, classes = 10 } = options;
  const makeEncoder = () => new ResNet({ arch, firstConv, maxPool: false, width });
  return { makeEncoder, classes, generator: null };
}
