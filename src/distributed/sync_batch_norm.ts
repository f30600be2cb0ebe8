/**
 * BatchNorm over the whole batch that processes share.
 *
 * @module
 */

import { BatchNorm } from "../nn/layers.ts";
import type { Module } from "../nn/module.ts";
import { native, nativeError } from "../torch/library.ts";
import { Tensor } from "../torch/tensor.ts";
import type { ProcessGroup } from "./process_group.ts";

/**
 * Makes all BatchNorms inside a module use, in training, the statistics of all processes' batches, which must have the
 * same size: mean and variance, and in back-propagation the means of the gradients, are those of all rows together.
 */
export function synchronizeBatchNorms(module: Module, group: ProcessGroup): void {
  for (const [, inner] of module.namedModules()) {
    if (inner instanceof BatchNorm) inner.normalizePart = (input) => normalize(inner, input, group);
  }
}

function normalize(layer: BatchNorm, input: Tensor, group: ProcessGroup): Tensor {
  const handle = native.stec_sync_batch_norm(
    group.handle,
    input.handle,
    layer.weight.handle,
    layer.bias.handle,
    layer.runningMean.handle,
    layer.runningVar.handle,
    layer.momentum,
    layer.eps,
  );
  if (handle < 0) throw nativeError("batch norm over processes");
  return new Tensor(handle);
}
