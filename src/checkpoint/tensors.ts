/**
 * Between tensors in files and tensors of libtorch.
 *
 * @module
 */

import { empty } from "../torch/create.ts";
import { noGrad } from "../torch/autograd.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { StoredTensor, TensorSource } from "./stored_tensor.ts";

/** A tensor as it can be written to a file: its bytes are taken, one tensor at a time, when their turn comes. */
export function tensorSource(tensor: Tensor): TensorSource {
  return {
    dtype: tensor.dtype,
    shape: tensor.shape,
    read() {
      // The memory itself where it is in order, so that writing needs no second copy.
      if (tensor.device === "cpu" && tensor.isContiguous) return tensor.bytes();
      return new Uint8Array(tensor.toTypedArray().buffer);
    },
  };
}

/** A new CPU tensor with a stored tensor's elements, read straight into its memory. */
export function loadTensor(stored: StoredTensor): Tensor {
  const tensor = empty(stored.shape, { dtype: stored.dtype });
  stored.readInto(tensor.bytes());
  return tensor;
}

/** Copies a stored tensor's elements into a tensor of the same shape, whatever its dtype and device. */
export function loadInto(target: Tensor, stored: StoredTensor): void {
  noGrad(() => scope(() => void target.copy_(loadTensor(stored))));
}
