/**
 * One optimiser step, and one look at batches without learning from them.
 *
 * @module
 */

import type { BatchSource, Prepared } from "../data/batches.ts";
import type { GradientReducer } from "../distributed/ddp.ts";
import { ALONE, type Peers } from "../peers.ts";
import type { GradScaler } from "../optim/grad_scaler.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { LinearLosses, Losses, ObjectiveOptions, Stec } from "../methods/stec.ts";
import { autocast, noGrad } from "../torch/autograd.ts";
import type { DType } from "../torch/dtype.ts";
import { stack } from "../torch/functional.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { GraphStep } from "./graph_step.ts";
import type { Metrics } from "./log.ts";

/** What a run learns with. */
export interface Learner {
  readonly model: Stec;
  readonly optimizer: Optimizer;
  readonly objective: ObjectiveOptions;
  readonly device: string;
  /** The 16-bit type that convolutions work in; null: float32. */
  readonly precision: DType | null;
  /** Scales the gradients in float16; left out: nothing does. */
  readonly scaler?: GradScaler;
  /** Whom batches are shared with; left out: nobody. */
  readonly peers?: Peers;
  /** What reduces the gradients of all processes; left out: there is one. */
  readonly reducer?: GradientReducer;
  /** Makes steps by replaying one that was recorded on the GPU; left out: each is asked for anew. */
  readonly graph?: GraphStep;
}

/** The reported names of the losses' entries. */
const NAMES: Readonly<Record<keyof Losses, string>> = {
  loss: "loss",
  featureSpread: "feature_spread",
  discriminationLoss: "discrimination_loss",
  discriminationAccuracy: "discrimination_accuracy",
  contrastAccuracy: "contrast_accuracy",
  contrastEntropy: "contrast_entropy",
  manipulationLoss: "manip_loss",
  manipulationAccuracy: "manip_accuracy",
  supervisedLoss: "supervised_loss",
  supervisedAccuracy: "supervised_accuracy",
};

/** Metrics that still are on the device: reading them waits for it, so do it rarely. Dispose of `values`. */
export interface PendingMetrics {
  readonly names: readonly string[];
  readonly values: Tensor;
}

/** The losses as metrics. */
export function pend(losses: Losses | LinearLosses): PendingMetrics {
  const entries = Object.entries(losses) as [keyof Losses, Tensor][];
  return {
    names: entries.map(([name]) => NAMES[name]),
    values: noGrad(() => stack(entries.map(([, value]) => value.detach().double()))),
  };
}

/** The means over all processes under their reported names, each behind the prefix. Frees them on the device. */
export function readMetrics({ names, values }: PendingMetrics, prefix: string, peers = ALONE): Metrics {
  // On the CPU: where a process was lost, what a GPU made is worth nothing, and it is here that this shows.
  using own = values.to({ device: "cpu" });
  const numbers = peers.mean_(own).toNumbers();
  values[Symbol.dispose]();
  return Object.fromEntries(names.map((name, i) => [`${prefix}${name}`, numbers[i]]));
}

/** The losses of a batch. */
export function compute(
  { model, objective, device, precision }: Learner,
  prepared: Prepared,
): Losses | LinearLosses {
  const batch = prepared.toBatch();
  return autocast<Losses | LinearLosses>(
    device,
    precision,
    () =>
      "manipulation" in batch
        ? model.losses(batch, objective)
        : model.linearLosses(batch, objective.supervisedLambda),
  );
}

/**
 * Learns from one batch. If it is `careful`, a loss that is not finite changes no parameter: that costs nothing on the CPU, but
 * means to wait for a GPU.
 */
export function trainStep(
  learner: Learner,
  prepared: Prepared,
  learningRate: number,
  careful: boolean = learner.device === "cpu" && learner.graph === undefined,
): PendingMetrics {
  if (learner.graph !== undefined && !careful) return learner.graph.step(prepared, learningRate);
  return scope(() => {
    learner.model.zeroGrad();
    const losses = compute(learner, prepared);
    const isBad = careful &&
      (learner.peers ?? ALONE).any(!Number.isFinite(losses.loss.item()));
    if (!isBad) {
      learner.reducer?.prepare();
      learn(learner, losses.loss, learningRate);
    }
    return pend(losses);
  });
}

function learn({ optimizer, scaler }: Learner, loss: Tensor, learningRate: number): void {
  if (scaler === undefined) {
    loss.backward();
    optimizer.step(learningRate);
  } else {
    scaler.scale(loss).backward();
    scaler.step(optimizer, learningRate);
  }
}

/** Computes a batch's losses for what happens on the way; nothing is learnt. */
export function replay(learner: Learner, prepared: Prepared): void {
  noGrad(() => scope(() => void compute(learner, prepared)));
}

/** The means of the metrics over the validation batches, in eval mode. */
export async function validate(learner: Learner, source: BatchSource): Promise<Metrics> {
  const sums: Record<string, number> = {};
  learner.model.eval();
  try {
    for (let i = 0; i < source.validationBatches; i++) {
      const prepared = await source.prepareValidation(i);
      const metrics = noGrad(() =>
        readMetrics(scope(() => pend(compute(learner, prepared))), "val/", learner.peers)
      );
      for (const [name, value] of Object.entries(metrics)) {
        sums[name] = (sums[name] ?? 0) + value / source.validationBatches;
      }
    }
  } finally {
    learner.model.train();
  }
  return sums;
}
