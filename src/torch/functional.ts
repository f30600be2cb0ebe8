/**
 * Operations on tensors that belong to no single one: joining, choosing, and the building blocks of networks.
 *
 * @module
 */

import { call, callList } from "./operator.ts";
import { scope } from "./scope.ts";
import type { Operand, Tensor } from "./tensor.ts";

/** Joins tensors along an existing dimension. */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  return call("aten::cat", tensors, dim);
}

/** Joins tensors of one shape along a new dimension. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  return call("aten::stack", tensors, dim);
}

/** Where `condition` (bool) holds the element of `a`, else that of `b`. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  if (typeof a === "number") {
    return typeof b === "number"
      ? call("aten::where.Scalar", condition, a, b)
      : call("aten::where.ScalarSelf", condition, a, b);
  }
  return typeof b === "number"
    ? call("aten::where.ScalarOther", condition, a, b)
    : call("aten::where.self", condition, a, b);
}

/** x W^T + b: (..., in) to (..., out), with W (out, in). */
export function linear(input: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  return call("aten::linear", input, weight, bias);
}

/** Two-dimensional convolution: (N, C, H, W) with weight (O, C, k, k) to (N, O, H', W'). */
export function conv2d(
  input: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  stride = 1,
  padding = 0,
): Tensor {
  return call("aten::conv2d", input, weight, bias, stride, [padding, padding]);
}

/**
 * Batch normalisation over all dimensions but the second. In training the batch's statistics are used and the running
 * ones move towards them by `momentum`; otherwise the running ones are used.
 *
 * @throws {RangeError} in training, if a channel has one value only: it has no variance
 */
export function batchNorm(
  input: Tensor,
  weight: Tensor,
  bias: Tensor,
  runningMean: Tensor,
  runningVar: Tensor,
  training: boolean,
  momentum: number,
  eps: number,
): Tensor {
  if (training && input.numel === input.shape[1]) {
    throw new RangeError(
      `Cannot normalise a batch: each channel has one value only, the shape is [${input.shape.join(", ")}]`,
    );
  }
  return call(
    "aten::batch_norm",
    input,
    weight,
    bias,
    runningMean,
    runningVar,
    training,
    momentum,
    eps,
    true,
  );
}

/** The largest value of each window: (N, C, H, W) to (N, C, H', W'). */
export function maxPool2d(input: Tensor, kernelSize: number, stride: number, padding = 0): Tensor {
  return call("aten::max_pool2d", input, [kernelSize, kernelSize], [stride, stride], [padding, padding]);
}

/** The mean of each channel: (N, C, H, W) to (N, C, 1, 1). */
export function globalAveragePool2d(input: Tensor): Tensor {
  return call("aten::adaptive_avg_pool2d", input, [1, 1]);
}

/** Rows scaled to unit Euclidean length along `dim`, with lengths below 1e-12 taken as 1e-12. */
export function normalize(input: Tensor, dim = 1): Tensor {
  return scope(() => {
    const length = call("aten::linalg_vector_norm", input, 2, [dim], true);
    return input.div(length.clamp(1e-12).expand(...input.shape));
  });
}

/** How a loss over a batch is made one number. */
export type Reduction = "none" | "mean" | "sum";

const REDUCTIONS = { none: 0, mean: 1, sum: 2 } as const;

/** Cross-entropy of logits (N, classes, ...) towards class numbers (N, ...), int64. */
export function crossEntropy(logits: Tensor, target: Tensor, reduction: Reduction = "mean"): Tensor {
  return call("aten::cross_entropy_loss", logits, target, undefined, REDUCTIONS[reduction]);
}

/** Pads the last two dimensions by reflection, without repeating the edge. */
export function reflectionPad2d(input: Tensor, padding: number): Tensor {
  return call("aten::reflection_pad2d", input, [padding, padding, padding, padding]);
}

/** Views of consecutive parts along a dimension, of the sizes given, which add up to the dimension's. */
export function splitSizes(input: Tensor, sizes: readonly number[], dim = 0): Tensor[] {
  return callList("aten::split_with_sizes", input, sizes, dim);
}
