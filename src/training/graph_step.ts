/**
 * Optimiser steps that are recorded once and replayed.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import type { Batch } from "../data/batch.ts";
import type { Prepared } from "../data/batches.ts";
import { noGrad } from "../torch/autograd.ts";
import { upload } from "../torch/create.ts";
import { gpuNumber, useOwnStream } from "../torch/cuda.ts";
import { CudaGraph, type Recorder } from "../torch/cuda_graph.ts";
import { dispose, keep, scope } from "../torch/scope.ts";
import { Tensor } from "../torch/tensor.ts";
import { ALONE } from "../nn/peers.ts";
import { compute, type Learner, type Pace, type PendingMetrics, toMetrics } from "./step.ts";

/** Steps before the recording, in which cuDNN chooses its algorithms and the optimiser makes its memory. */
const WARM_UP = 3;

/**
 * Prepares to replay a learner's steps on a GPU.
 *
 * @throws {UsageError} in one sentence, where that cannot be done
 */
export function replayedSteps(learner: Learner): GraphStep {
  const { device, scaler, peers = ALONE } = learner;
  const refuse = (why: string) => {
    throw new UsageError(`Cannot use --cuda_graph ${why}`);
  };
  if (gpuNumber(device) === null) refuse("on the CPU: only an NVIDIA GPU replays what was recorded");
  if (scaler !== undefined) {
    refuse("in float16, where the CPU decides on every step: use --precision bf16 or fp32");
  }
  if (peers.size > 1) refuse(`with ${peers.size} processes: their exchange is not recorded`);
  useOwnStream(device);
  return new GraphStep(learner, new CudaGraph());
}

/** What stays in its place from step to step: the recorded work reads and writes it. */
interface Places {
  readonly batch: Batch;
  /** What the optimizer and then the method want to know of the step. */
  readonly numbers: Tensor;
  /** The metrics; made in the first step. */
  metrics?: PendingMetrics;
}

/**
 * Learns as `trainStep` does. The first steps are made one operator after the other, then forward pass, backward pass and
 * optimiser are recorded; each further batch is copied to where the recorded step reads it. How views are made differs from
 * batch to batch, so that is not recorded.
 */
export class GraphStep implements Disposable {
  readonly #learner: Learner;
  readonly #recorder: Recorder;
  #places: Places | undefined;
  /** So many of the numbers are the optimizer's; the method has the others. */
  #split = 0;
  #warm = 0;
  #recorded = false;

  /** Steps of a learner without scaler and reducer. */
  constructor(learner: Learner, recorder: Recorder) {
    this.#learner = learner;
    this.#recorder = recorder;
  }

  /** One step. */
  step(prepared: Prepared, { learningRate, progress }: Pace): PendingMetrics {
    const { model, optimizer } = this.#learner, ofOptimizer = optimizer.advance(learningRate);
    const places = this.#places = this.#put(prepared, [...ofOptimizer, ...model.advance?.(progress) ?? []]);
    this.#split = ofOptimizer.length;
    if (this.#warm < WARM_UP) {
      this.#warm++;
      this.#work(places);
    } else {
      if (!this.#recorded) this.#recorder.record(() => this.#work(places));
      this.#recorded = true;
      this.#recorder.replay();
    }
    const { names, values } = places.metrics!;
    return { names, values: values.clone() };
  }

  /** Puts a batch, and the numbers of a step, where they are read. */
  #put(prepared: Prepared, numbers: readonly number[]): Places {
    return noGrad(() =>
      scope(() => {
        const batch = prepared.toBatch();
        // Of the parameters' type, which is what operators on lists of tensors are fast with.
        const [{ dtype }] = this.#learner.model.parameters();
        const given = upload(Float64Array.from(numbers), this.#learner.device).to({ dtype });
        if (this.#places === undefined) {
          const stay = (tensor: Tensor) => keep(tensor.clone());
          return { batch: mapTensors(batch, stay), numbers: stay(given) };
        }
        copyInto(tensorsOf(this.#places.batch), tensorsOf(batch));
        this.#places.numbers.copy_(given);
        return this.#places;
      })
    );
  }

  #work(places: Places): void {
    const { model, optimizer } = this.#learner;
    scope(() => {
      model.zeroGrad();
      const losses = compute(this.#learner, { toBatch: () => places.batch });
      losses.loss.backward();
      noGrad(() => {
        const numbers = places.numbers.unbind();
        optimizer.update(numbers.slice(0, this.#split));
        model.afterUpdate?.(numbers.slice(this.#split));
      });
      const { names, values } = toMetrics(losses);
      if (places.metrics === undefined) places.metrics = { names, values: keep(values) };
      else places.metrics.values.copy_(values);
    });
  }

  /** Frees the recording and the memory that it works on. The gradients go too, for they lie in it. */
  [Symbol.dispose](): void {
    this.#learner.model.zeroGrad();
    this.#recorder[Symbol.dispose]();
    if (this.#places === undefined) return;
    const { batch, numbers, metrics } = this.#places;
    dispose([...tensorsOf(batch), numbers, ...metrics ? [metrics.values] : []]);
    this.#places = undefined;
  }
}

/** The tensors inside a batch, in a fixed order. */
function tensorsOf(batch: Batch): Tensor[] {
  const found: Tensor[] = [];
  mapTensors(batch, (tensor) => (found.push(tensor), tensor));
  return found;
}

/** A copy of nested objects with other tensors in the places of theirs. */
function mapTensors<T>(value: T, change: (tensor: Tensor) => Tensor): T {
  if (value instanceof Tensor) return change(value) as T;
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).map(([name, inner]) => [name, mapTensors(inner, change)]);
  return Object.fromEntries(entries) as T;
}

function copyInto(places: readonly Tensor[], tensors: readonly Tensor[]): void {
  const shapes = (list: readonly Tensor[]) => list.map(({ shape }) => `[${shape}]`).join(" ");
  if (shapes(places) !== shapes(tensors)) {
    throw new RangeError(
      `Cannot replay a step: the batch's tensors are ${shapes(tensors)}, the recorded step's ${
        shapes(places)
      }`,
    );
  }
  places.forEach((place, i) => place.copy_(tensors[i]));
}
