/**
 * Arrays of several dimensions in plain TypeScript, slow and obvious: what views and broadcasting of tensors are checked
 * against.
 *
 * @module
 */

import fc from "fast-check";
import { fromTypedArray } from "../../src/torch/create.ts";
import type { Tensor } from "../../src/torch/tensor.ts";

/** Elements in row-major order. */
export interface Model {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** All index tuples of a shape, row-major. */
export function* indices(shape: readonly number[]): Generator<number[]> {
  const count = shape.reduce((product, size) => product * size, 1);
  for (let offset = 0; offset < count; offset++) {
    const index: number[] = [];
    for (let rest = offset, d = shape.length - 1; d >= 0; d--) {
      index[d] = rest % shape[d];
      rest = Math.floor(rest / shape[d]);
    }
    yield index;
  }
}

/** The element at an index; a dimension of size 1 has the same element everywhere. */
export function at(model: Model, index: readonly number[]): number {
  const lead = index.length - model.shape.length;
  const offset = model.shape.reduce((sum, size, d) => sum * size + (size === 1 ? 0 : index[lead + d]), 0);
  return model.data[offset];
}

/** The model whose element at an index is `element(index)`. */
export function build(shape: readonly number[], element: (index: number[]) => number): Model {
  return { shape, data: Array.from(indices(shape), element) };
}

/** The shape of two broadcast together, null where they do not fit. */
export function broadcastShapes(a: readonly number[], b: readonly number[]): number[] | null {
  const rank = Math.max(a.length, b.length), shape: number[] = [];
  for (let d = 0; d < rank; d++) {
    const p = a[a.length - rank + d] ?? 1, q = b[b.length - rank + d] ?? 1;
    if (p !== q && p !== 1 && q !== 1) return null;
    shape.push(p === 1 ? q : p);
  }
  return shape;
}

/** 0, 1, 2, ... in a shape. */
export function counting(shape: readonly number[]): Model {
  return { shape, data: Array.from(indices(shape), (_, i) => i) };
}

/** The same as a float64 tensor. */
export function toTensor({ shape, data }: Model): Tensor {
  return fromTypedArray(Float64Array.from(data), shape);
}

/** A tensor as a model. */
export function toModel(tensor: Tensor): Model {
  return { shape: [...tensor.shape], data: tensor.toNumbers() };
}

/** Small shapes, some of them empty. */
export const shapes: fc.Arbitrary<number[]> = fc.array(
  fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 4 }) }, fc.constant(0)),
  { maxLength: 4 },
);
