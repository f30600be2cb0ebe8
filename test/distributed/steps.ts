/**
 * A few optimiser steps of a small model in float64, on one process's part of a batch that several may share.
 *
 * @module
 */

import { parallelize } from "../../src/distributed/ddp.ts";
import type { Peers } from "../../src/nn/peers.ts";
import { ProcessGroup } from "../../src/distributed/process_group.ts";
import { synchronizeBatchNorms } from "../../src/distributed/sync_batch_norm.ts";
import { BatchNorm } from "../../src/nn/layers.ts";
import { larsGroups } from "../../src/optim/param_groups.ts";
import { Sgd } from "../../src/optim/sgd.ts";
import { type Learner, readMetrics, trainStep } from "../../src/training/step.ts";
import type { Batch } from "../../src/data/batch.ts";
import { tensor } from "../../src/torch/create.ts";
import { cat } from "../../src/torch/functional.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { fill, img, unit } from "../golden.ts";
import type { Method } from "../../src/methods/method.ts";
import { BUILDERS, contextOf, linearEvaluation } from "../methods/made_method.ts";

/** What may differ between runs. */
export interface StepsOptions {
  readonly method?: "simclr" | "byol" | "relic";
  readonly manipLambda?: number;
  readonly stopGradient: 0 | 1 | 2;
  readonly solarized: boolean;
  readonly supervisedLambda: number;
}

/** What the steps have led to, by name, as plain numbers. */
export interface StepsResult {
  /** The metrics of every step, means over all processes. */
  readonly metrics: Record<string, number>[];
  /** Each parameter's gradient in the first step. */
  readonly gradients: Record<string, number[]>;
  /** Parameters and buffers after the last step. */
  readonly state: Record<string, number[]>;
}

const STEPS = 5;
/** Images of the whole batch. */
const SIZE = 8;

/** This process's rows of a tensor that has one for each image. */
function part(whole: Tensor, { rank, size }: Peers): Tensor {
  return whole.chunk(size)[rank];
}

function batch(step: number, { solarized, stopGradient }: StepsOptions, peers: Peers): Batch {
  const views = ["a", "b"].map((name) => part(img(`s${step}.${name}`, [SIZE, 3, 16, 16]), peers));
  const labels = Array.from({ length: SIZE }, (_, i) => (3 * i + step) % 10);
  // The first images more often, so that processes differ in how many of theirs there are.
  const marks = ["c", "d"].map((name) =>
    part(unit(`s${step}.${name}`, [SIZE]).gt(tensor(labels.map((_, i) => i / SIZE))), peers)
  );
  const classes = part(tensor(labels, { dtype: "int64" }), peers);
  if (stopGradient === 2) return { labeled: { views: views[0], labels: classes } };
  return {
    pairs: {
      views: cat(views),
      manipulation: part(unit(`s${step}.theta`, [SIZE, 2, 3]), peers),
      solarized: solarized ? cat(marks) : null,
      labels: classes,
    },
  };
}

function numbersOf(tensors: Iterable<[string, Tensor]>): Record<string, number[]> {
  return Object.fromEntries(Array.from(tensors, ([name, tensor]) => [name, tensor.toNumbers()]));
}

/** Trains and reports. */
export function trainSteps(peers: Peers, options: StepsOptions): StepsResult {
  const { method = "simclr", manipLambda = 1, stopGradient, supervisedLambda } = options;
  const build = stopGradient === 2 ? linearEvaluation : BUILDERS[method];
  const model: Method = build({
    ...{ hidden_mlp: 8, feat_dim: 8, projection_final_batch_norm: true, manip_hidden_mlp: [8], n_bins: 6 },
    ...{ discrimination_lambda: 2, supervised_lambda: supervisedLambda, temperature: 0.5 },
    ...{ manip_lambda: manipLambda, predictor_hidden: 16, ema_base: 0.9, relic_alpha: 1 },
    stop_gradient: stopGradient,
  }, contextOf({ width: 2 })).to({ dtype: "float64" });
  fill(model.stateDict());
  model.restart?.();
  const learner: Learner = {
    model,
    optimizer: new Sgd(larsGroups(model.namedParameters(), 1e-4), { momentum: 0.9, nesterov: false }),
    device: "cpu",
    precision: null,
    peers,
    reducer: parallelize(model, model.learnedParameters(), peers),
  };
  const metrics: Record<string, number>[] = [];
  let gradients: Record<string, number[]> = {};
  for (let step = 0; step < STEPS; step++) {
    const prepared = { toBatch: () => batch(step, options, peers) };
    metrics.push({
      ...readMetrics(trainStep(learner, prepared, { learningRate: 0.5, progress: step / STEPS }), "", peers),
    });
    if (step > 0) continue;
    const found = scope(() =>
      [...model.namedParameters()].flatMap(([name, { grad }]) => grad ? [[name, grad]] : [])
    );
    gradients = numbersOf(found as [string, Tensor][]);
  }
  return { metrics, gradients, state: numbersOf(model.stateDict()) };
}

/** What BatchNorm makes of one process's rows, as plain numbers. */
export interface NormalizedRows {
  /** (rows, channels): mean squares of what comes out. */
  readonly outputs: number[];
  /** (rows, channels): mean squares of the gradients of the rows, and of those of what is added to them. */
  readonly gradients: number[];
  readonly ofShortcut: number[];
  /** Parameters and buffers. */
  readonly state: Record<string, number[]>;
  /** The gradients of weight and bias from this process's rows. */
  readonly shares: number[];
}

/** What is done to the rows. */
export interface NormalizeOptions {
  readonly dtype: "float64" | "bfloat16";
  /** Whether max(x, 0) is taken at the end. */
  readonly relu: boolean;
  /** Whether other rows are added to the normalised ones. */
  readonly shortcut: boolean;
}

/** Normalises rows so long that the shim works through a few at a time, with a rest at the end. */
export function normalizeRows(peers: Peers, { dtype, relu, shortcut }: NormalizeOptions): NormalizedRows {
  const layer = new BatchNorm(3).to({ dtype: dtype === "float64" ? "float64" : "float32" });
  fill(layer.stateDict());
  if (peers instanceof ProcessGroup) synchronizeBatchNorms(layer, peers);
  const shape = [6, 3, 360, 360];
  const rows = (values: Tensor) => part(values, peers).to({ dtype });
  const input = rows(img("rows", shape)).contiguous("channels_last").requiresGrad_();
  const added = shortcut ? rows(unit("shortcut", shape)).requiresGrad_() : undefined;
  const output = layer.forward(input, { shortcut: added, relu });
  output.mul(rows(unit("weights", shape))).sum().backward();
  const perRow = (values: Tensor) => values.double().pow(2).mean([2, 3]).toNumbers();
  return {
    outputs: perRow(output.detach()),
    gradients: perRow(input.grad!),
    ofShortcut: added === undefined ? [] : perRow(added.grad!),
    state: numbersOf(layer.stateDict()),
    shares: cat([layer.weight.grad!, layer.bias.grad!]).toNumbers(),
  };
}
