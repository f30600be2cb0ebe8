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
    if (!(inner instanceof BatchNorm)) continue;
    inner.normalizePart = (input, shortcut, relu) => normalize(inner, group, input, shortcut, relu);
  }
}

function normalize(
  layer: BatchNorm,
  group: ProcessGroup,
  input: Tensor,
  shortcut: Tensor | null,
  relu: boolean,
): Tensor {
  const handle = native.stec_sync_batch_norm(
    group.handle,
    input.handle,
    layer.weight.handle,
    layer.bias.handle,
    layer.runningMean.handle,
    layer.runningVar.handle,
    layer.momentum,
    layer.eps,
    shortcut?.handle ?? 0,
    relu ? 1 : 0,
  );
  if (handle < 0) throw nativeError("batch norm over processes");
  return new Tensor(handle);
}
