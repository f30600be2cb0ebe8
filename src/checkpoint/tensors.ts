/**
 * Between tensors in files and tensors of libtorch.
 *
 * @module
 */

import { noGrad } from "../torch/autograd.ts";
import { emptyStrided, fromTypedArray } from "../torch/create.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { ITEM_BYTES, type StoredDType, type StoredTensor, type TensorSource } from "./stored_tensor.ts";
import { PIECE_BYTES } from "../zip/format.ts";

/** A tensor as it can be written to a file: its bytes are taken, one tensor at a time, when their turn comes. */
export function tensorSource(tensor: Tensor): TensorSource {
  return {
    dtype: storedDtype(tensor),
    shape: tensor.shape,
    read: () => new Uint8Array(tensor.toTypedArray().buffer),
    pieces: (buffer) => piecesOf(tensor, buffer),
  };
}

function storedDtype({ dtype }: Tensor): StoredDType {
  if (dtype in ITEM_BYTES) return dtype as StoredDType;
  throw new TypeError(
    `Cannot write a tensor of dtype ${dtype}: files here hold ${Object.keys(ITEM_BYTES).join(", ")}`,
  );
}

function* piecesOf(tensor: Tensor, buffer: Uint8Array<ArrayBuffer>): Generator<Uint8Array> {
  using detached = tensor.detach(), rows = detached.contiguous(), here = rows.to({ device: "cpu" });
  using elements = here.reshape(-1);
  const item = ITEM_BYTES[storedDtype(tensor)], most = Math.floor(buffer.length / item);
  for (let start = 0; start < tensor.numel; start += most) {
    using some = elements.slice(0, start, start + most);
    const piece = buffer.subarray(0, some.numel * item);
    some.copyTo(piece);
    yield piece;
  }
}

/** What files are read through. Memory of libtorch is filled from it, for what V8 frees it frees late. */
const buffer = new Uint8Array(PIECE_BYTES);

/** A new CPU tensor with a stored tensor's elements, in the file's order where it has no gaps (`channels_last`). */
export function loadTensor(stored: StoredTensor): Tensor {
  const { dtype, shape, strides, isDense } = stored;
  if (!isDense) return fromTypedArray(stored.read(), shape, dtype);
  const tensor = emptyStrided(shape, strides, { dtype });
  fill(tensor, stored);
  return tensor;
}

/** Copies a stored tensor's elements into a tensor of the same shape, whatever its dtype, device and strides. */
export function loadInto(target: Tensor, stored: StoredTensor): void {
  if (isLaidOutAlike(target, stored)) fill(target, stored);
  else noGrad(() => scope(() => void target.copy_(loadTensor(stored))));
}

function fill(target: Tensor, stored: StoredTensor): void {
  let offset = 0;
  for (const piece of stored.storedPieces(buffer)) {
    target.putBytes(piece, offset);
    offset += piece.length;
  }
}

/** Whether the file's bytes are just what the tensor has in memory. */
function isLaidOutAlike(target: Tensor, { dtype, shape, strides, isDense }: StoredTensor): boolean {
  if (!isDense || target.dtype !== dtype || target.device !== "cpu") return false;
  const own = target.strides;
  return shape.every((size, d) => size === 1 || own[d] === strides[d]);
}
