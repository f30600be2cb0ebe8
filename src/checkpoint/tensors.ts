/**
 * Between tensors in files and tensors of libtorch.
 *
 * @module
 */

import { borrowTypedArray } from "../torch/create.ts";
import { typedArrayFor } from "../torch/dtype.ts";
import { noGrad } from "../torch/autograd.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { StoredTensor, TensorSource } from "./stored_tensor.ts";

/** A tensor as it can be written to a file: its bytes are taken, one tensor at a time, when their turn comes. */
export function tensorSource(tensor: Tensor): TensorSource {
  return {
    dtype: tensor.dtype,
    shape: tensor.shape,
    read: () => new Uint8Array(tensor.toTypedArray().buffer),
    readInto: (target) => tensor.copyTo(target),
  };
}

/** A new CPU tensor with a stored tensor's elements, read straight into its memory. */
export function loadTensor(stored: StoredTensor): Tensor {
  const array = typedArrayFor(stored.dtype, stored.shape.reduce((product, size) => product * size, 1));
  stored.readInto(new Uint8Array(array.buffer));
  return borrowTypedArray(array, stored.shape, stored.dtype);
}

/** Copies a stored tensor's elements into a tensor of the same shape, whatever its dtype and device. */
export function loadInto(target: Tensor, stored: StoredTensor): void {
  noGrad(() => scope(() => void target.copy_(loadTensor(stored))));
}
