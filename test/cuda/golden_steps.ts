/**
 * The golden steps, to be made on a GPU.
 *
 * @module
 */

import { Adam } from "../../src/optim/adam.ts";
import { GradScaler } from "../../src/optim/grad_scaler.ts";
import type { Optimizer } from "../../src/optim/optimizer.ts";
import { larsGroups, plainGroups } from "../../src/optim/param_groups.ts";
import { Sgd } from "../../src/optim/sgd.ts";
import type { Metrics } from "../../src/training/log.ts";
import { LAYOUT } from "../../src/machine/machine.ts";
import { type Learner, readMetrics, trainStep } from "../../src/training/step.ts";
import type { Batch } from "../../src/data/batch.ts";
import type { Module } from "../../src/nn/module.ts";
import { SimClr } from "../../src/methods/simclr.ts";
import { tensor } from "../../src/torch/create.ts";
import type { DType } from "../../src/torch/dtype.ts";
import { cat } from "../../src/torch/functional.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { fill, img, unit } from "../golden.ts";
import { contextOf, GOLDEN_SETTINGS } from "../methods/made_method.ts";

const SIZE = 8;
/**
 * How far two devices, or two ways to compute the same, may be apart in float64 after a few steps. These batches of eight
 * magnify rounding a thousandfold with every step: float32 would leave two digits after three.
 */
export const FLOAT64 = { rtol: 1e-7, atol: 1e-9 };
/** A rate at which the same batch is learnt alike whatever the precision, and how far losses in 16 bits may then be off. */
export const SLOW = { rate: 0.002, rtol: 0.02 };

/** The optimisers of the golden steps, and their learning rates. */
export const OPTIMIZERS: Record<string, { lr: number; make: (model: Module) => Optimizer }> = {
  stec: {
    lr: 0.5,
    make: (model) => new Sgd(larsGroups(model.namedParameters(), 1e-4), { momentum: 0.9, nesterov: false }),
  },
  sgd: {
    lr: 0.05,
    make: (model) =>
      new Sgd(plainGroups(model.namedParameters(), 1e-4, false), { momentum: 0.9, nesterov: true }),
  },
  adam: { lr: 1e-3, make: (model) => new Adam(plainGroups(model.namedParameters(), 1e-4, false)) },
};

/** The batch of the golden steps. */
function batch(step: number, device: string, dtype: DType): Batch {
  const shape = [SIZE, 3, 32, 32];
  const bounds = tensor([2.2, 2.2, 0.6], { dtype: "float64" });
  return {
    pairs: {
      views: cat([img(`s${step}.a`, shape), img(`s${step}.b`, shape)]).to({ dtype, device }),
      manipulation: unit(`s${step}.theta`, [SIZE, 2, 3]).mul(bounds).to({ dtype, device }),
      solarized: null,
      labels: tensor(Array.from({ length: SIZE }, (_, i) => (3 * i + step) % 10), { dtype: "int64", device }),
    },
  };
}

/** How a learner computes. */
export interface LearnerOptions {
  /** As in `Learner`. */
  readonly precision?: DType | null;
  /** Of the parameters. */
  readonly dtype?: DType;
  /** Channels of the encoder's first stage; 16 here, the golden steps have 64. */
  readonly width?: number;
  /** As in `NtXentOptions`: the golden steps have float32. */
  readonly similarityDtype?: "float32";
}

/** What the golden steps learn with, at their beginning. */
export function learner(tag: string, device: string, options: LearnerOptions = {}): Learner {
  const { precision = null, dtype = "float32", width = 16, similarityDtype } = options;
  const model = new SimClr({ ...GOLDEN_SETTINGS, similarityDtype }, contextOf({ width }));
  fill(model.stateDict());
  model.to({ device, dtype, memoryFormat: LAYOUT });
  const scaler = precision === "float16" ? new GradScaler(device) : undefined;
  // So that the first steps are not left out.
  scaler?.load({ ...scaler.state(), scale: 64 });
  return {
    model,
    optimizer: OPTIMIZERS[tag].make(model),
    device,
    precision,
    scaler,
  };
}

/** Frees a learner. */
export function free({ model, optimizer, scaler }: Learner): void {
  for (const part of [model, optimizer, scaler]) part?.[Symbol.dispose]();
}

/** Makes a golden step and returns its metrics. */
export function step(own: Learner, number: number, rate: number): Metrics {
  const [{ dtype }] = own.model.parameters();
  return scope(() =>
    readMetrics(
      trainStep(own, { toBatch: () => batch(number, own.device, dtype) }, {
        learningRate: rate,
        progress: 0,
      }),
      "",
    )
  );
}

/** Norms of the parameters, on the CPU. */
export function norms(model: Module): Tensor {
  return tensor(model.parameters().map((parameter) => parameter.norm().item()), { dtype: "float64" });
}
