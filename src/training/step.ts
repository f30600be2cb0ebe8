/**
 * One optimiser step, and one look at batches without learning from them.
 *
 * @module
 */

import type { BatchSource, Prepared } from "../data/batches.ts";
import type { GradientReducer } from "../distributed/ddp.ts";
import { ALONE, type Peers } from "../nn/peers.ts";
import type { GradScaler } from "../optim/grad_scaler.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { Losses, Method } from "../methods/method.ts";
import { autocast, noGrad } from "../torch/autograd.ts";
import type { DType } from "../torch/dtype.ts";
import { stack } from "../torch/functional.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { GraphStep } from "./graph_step.ts";
import type { Metrics } from "./log.ts";

/** What a run learns with. */
export interface Learner {
  readonly model: Method;
  readonly optimizer: Optimizer;
  readonly device: string;
  /** The 16-bit type that convolutions work in; null: float32. */
  readonly precision: DType | null;
  /** Scales the gradients in float16; left out: nothing does. */
  readonly scaler?: GradScaler;
  /** Whom batches are shared with; left out: nobody. */
  readonly peers?: Peers;
  /** What reduces the gradients of all processes; left out: there is one. */
  readonly reducer?: GradientReducer;
  /** The SHA-256 of the user's module that the method was loaded from; left out: it is one of the program's. */
  readonly methodHash?: string;
  /** Makes steps by replaying one that was recorded on the GPU; left out: each is asked for anew. */
  readonly graph?: GraphStep;
}

/** Where a step stands in its run, and how far it goes. */
export interface Pace {
  /** The learning rate of the step. */
  readonly learningRate: number;
  /** The share of the run's schedule that lies behind it: optimizer step k of K has k / K. */
  readonly progress: number;
}

/** Metrics that still are on the device: reading them waits for it, so do it rarely. Dispose of `values`. */
export interface PendingMetrics {
  readonly names: readonly string[];
  readonly values: Tensor;
}

/** The loss and the other metrics in one tensor. */
export function toMetrics({ loss, metrics }: Losses): PendingMetrics {
  const all = { loss, ...metrics };
  return {
    names: Object.keys(all),
    values: noGrad(() => stack(Object.values(all).map((value) => value.detach().double()))),
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
  { model, device, precision, peers = ALONE }: Learner,
  prepared: Prepared,
): Losses {
  const batch = prepared.toBatch();
  return autocast(device, precision, () => model.losses(batch, peers));
}

/**
 * Learns from one batch. If it is `careful`, a loss that is not finite changes no parameter: that costs nothing on the CPU, but
 * means to wait for a GPU.
 */
export function trainStep(
  learner: Learner,
  prepared: Prepared,
  pace: Pace,
  careful: boolean = learner.device === "cpu" && learner.graph === undefined,
): PendingMetrics {
  if (learner.graph !== undefined && !careful) return learner.graph.step(prepared, pace);
  return scope(() => {
    learner.model.zeroGrad();
    const losses = compute(learner, prepared);
    const isBad = careful &&
      (learner.peers ?? ALONE).any(!Number.isFinite(losses.loss.item()));
    if (!isBad) {
      learner.reducer?.prepare();
      learn(learner, losses.loss, pace);
    }
    return toMetrics(losses);
  });
}

function learn(learner: Learner, loss: Tensor, { learningRate, progress }: Pace): void {
  const { model, optimizer, scaler } = learner;
  if (scaler === undefined) {
    loss.backward();
    optimizer.step(learningRate);
  } else {
    scaler.scale(loss).backward();
    if (!scaler.step(optimizer, learningRate)) return;
  }
  const numbers = model.advance?.(progress) ?? [];
  noGrad(() => model.afterUpdate?.(numbers));
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
        readMetrics(scope(() => toMetrics(compute(learner, prepared))), "val/", learner.peers)
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
