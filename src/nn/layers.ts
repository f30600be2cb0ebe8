/**
 * The layers that networks here are made of.
 *
 * @module
 */

import { ones, zeros } from "../torch/create.ts";
import { batchNorm, conv2d, linear } from "../torch/functional.ts";
import { Generator } from "../torch/random.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { convolutionWeight, linearUniform } from "./init.ts";
import { Layer } from "./module.ts";

/** x W^T + b over the last dimension: (..., in) to (..., out). */
export class Linear extends Layer {
  /** (out, in). */
  readonly weight: Tensor;
  /** (out), or null. */
  readonly bias: Tensor | null;

  /** Weight (out, in) and bias (out) start uniform in +-1/sqrt(in), as in PyTorch. */
  constructor(
    inputs: number,
    outputs: number,
    options: { bias?: boolean; generator?: Generator | null } = {},
  ) {
    super();
    const { bias = true, generator = null } = options;
    this.weight = this.parameter("weight", linearUniform([outputs, inputs], inputs, generator));
    this.bias = bias ? this.parameter("bias", linearUniform([outputs], inputs, generator)) : null;
  }

  /** (..., in) to (..., out). */
  override forward(input: Tensor): Tensor {
    return linear(input, this.weight, this.bias);
  }
}

/**
 * Unless the input channels are a multiple of this, the gradient of a strided 1x1 convolution of channels that come last
 * writes past its memory in oneDNN, which CPUs convolve with: seen in libtorch 2.13, from Python as well.
 */
const WHOLE_CHANNELS = 16;

/** Square two-dimensional convolution without bias: (N, in, H, W) to (N, out, H', W'). */
export class Conv2d extends Layer {
  /** (out, in, k, k). */
  readonly weight: Tensor;
  /** Pixels between two windows. */
  readonly stride: number;
  /** Zeros around the image. */
  readonly padding: number;
  /** Whether the pixels that the stride leaves out are left out beforehand, which is the same. */
  readonly #thins: boolean;

  /** Weight (out, in, k, k) starts normal with standard deviation sqrt(1 / (in k k)). */
  constructor(
    inputs: number,
    outputs: number,
    kernelSize: number,
    options: { stride?: number; padding?: number; generator?: Generator | null } = {},
  ) {
    super();
    this.stride = options.stride ?? 1;
    this.padding = options.padding ?? 0;
    this.#thins = kernelSize === 1 && this.stride > 1 && this.padding === 0 && inputs % WHOLE_CHANNELS !== 0;
    const shape = [outputs, inputs, kernelSize, kernelSize];
    this.weight = this.parameter("weight", convolutionWeight(shape, options.generator ?? null));
  }

  /** (N, in, H, W) to (N, out, H', W'). */
  override forward(input: Tensor): Tensor {
    const { weight, stride, padding } = this;
    if (!this.#thins) return conv2d(input, weight, null, stride, padding);
    return scope(() => conv2d(input.slice(2, 0, null, stride).slice(3, 0, null, stride), weight, null, 1, 0));
  }
}

/**
 * Batch normalisation of (N, C) or (N, C, H, W) over all but the channels (Ioffe and Szegedy, 2015).
 *
 * Training: (x - mean) / sqrt(var + 1e-5) * weight + bias with the batch's statistics; the running statistics move
 * towards them by 0.1 (the variance with n - 1). Inference: with the running statistics.
 */
export class BatchNorm extends Layer {
  /** The scale of each channel. */
  readonly weight: Tensor;
  /** The shift of each channel. */
  readonly bias: Tensor;
  /** The mean of each channel that inference uses. */
  readonly runningMean: Tensor;
  /** The variance of each channel that inference uses. */
  readonly runningVar: Tensor;
  /** How many batches moved the running statistics, int64. */
  readonly batchesTracked: Tensor;
  /** How far a batch moves the running statistics. */
  readonly momentum = 0.1;
  /** Added to the variance. */
  readonly eps = 1e-5;
  /**
   * Normalises in training where the input is only this process's part of the batch, adds the shortcut and takes the
   * ReLU; null: the input is the whole batch.
   */
  normalizePart: ((input: Tensor, shortcut: Tensor | null, relu: boolean) => Tensor) | null = null;

  /** Weight 1 and bias 0, or a weight of 0 with `zeroWeight`. */
  constructor(channels: number, options: { zeroWeight?: boolean } = {}) {
    super();
    this.weight = this.parameter("weight", options.zeroWeight ? zeros([channels]) : ones([channels]));
    this.bias = this.parameter("bias", zeros([channels]));
    this.runningMean = this.buffer("running_mean", zeros([channels]));
    this.runningVar = this.buffer("running_var", ones([channels]));
    this.batchesTracked = this.buffer("num_batches_tracked", zeros([], { dtype: "int64" }));
  }

  /** Keeps the shape. With `shortcut` that is added to what is normalised, with `relu` max(x, 0) is taken in the end. */
  override forward(input: Tensor, after: { shortcut?: Tensor; relu?: boolean } = {}): Tensor {
    const { shortcut = null, relu = false } = after;
    if (this.training) this.batchesTracked.add_(1);
    if (this.training && this.normalizePart !== null) return this.normalizePart(input, shortcut, relu);
    const output = batchNorm(
      input,
      this.weight,
      this.bias,
      this.runningMean,
      this.runningVar,
      this.training,
      this.momentum,
      this.eps,
    );
    if (shortcut !== null) output.add_(shortcut);
    return relu ? output.relu_() : output;
  }
}

/** max(x, 0). */
export class ReLU extends Layer {
  /** Keeps the shape. */
  override forward(input: Tensor): Tensor {
    return input.relu();
  }
}

/** Layers one after another, each under a name of its own. */
export class Sequential extends Layer {
  readonly #layers: readonly Layer[];

  /** The layers by their names, in the order in which they are applied. */
  constructor(layers: Readonly<Record<string, Layer>>) {
    super();
    this.#layers = Object.entries(layers).map(([name, layer]) => this.child(name, layer));
  }

  /** The last layer's output. */
  override forward(input: Tensor): Tensor {
    return scope(() => this.#layers.reduce((value, layer) => layer.forward(value), input));
  }
}
