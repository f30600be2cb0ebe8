/**
 * Copies strided elements of a storage into row-major order, without a second copy of them.
 *
 * @module
 */

import type { Layout, Storage } from "./stored_tensor.ts";

/** Strided elements are read through this, so that no second copy of the tensor is needed. */
const window = new Uint8Array(1 << 20);

/** A dimension as the copy sees it: how far a step goes in the storage and in the result. */
interface Axis {
  size: number;
  readonly from: number;
  readonly to: number;
}

type Words = Uint8Array | Uint16Array | Uint32Array;

/** The bytes as unsigned words of 1, 2 or 4 bytes: copying through floats could change a NaN. */
function asWords(bytes: Uint8Array, size: number): Words {
  const length = Math.floor(bytes.length / size);
  if (size === 1) return bytes;
  return size === 2
    ? new Uint16Array(bytes.buffer, bytes.byteOffset, length)
    : new Uint32Array(bytes.buffer, bytes.byteOffset, length);
}

/**
 * Fills `target` with the elements, walking through the storage from front to back.
 *
 * @param item bytes of an element
 * @param to the strides of the result
 */
export function gather(
  layout: Layout,
  item: number,
  to: readonly number[],
  storage: Storage,
  target: Uint8Array,
): void {
  if (target.length === 0) return;
  const word = Math.min(item, 4), words = item / word;
  const axes: Axis[] = layout.shape.map((size, d) => ({
    size,
    from: layout.strides[d] * words,
    to: to[d] * words,
  }));
  axes.push({ size: words, from: 1, to: 1 });
  axes.sort((a, b) => b.from - a.from);
  copyAxes(axes.filter((axis) => axis.size > 1), 0, layout.storageOffset * words, 0, {
    source: asWords(window, word),
    target: asWords(target, word),
    load(start, count) {
      storage.readInto(start * word, window.subarray(0, count * word));
    },
  });
}

interface Copy {
  readonly source: Words;
  readonly target: Words;
  /** Reads `count` words from `start` of the storage into the front of `source`. */
  load(start: number, count: number): void;
}

/** Cuts the axes into blocks that fit the window, outermost first, and copies block by block. */
function copyAxes(axes: Axis[], first: number, from: number, to: number, copy: Copy): void {
  const inner = axes.slice(first);
  const spanOfInner = inner.reduce((span, axis) => span + (axis.size - 1) * axis.from, 1);
  if (spanOfInner <= copy.source.length) {
    copy.load(from, spanOfInner);
    copyBlock(inner, 0, 0, to, copy);
    return;
  }
  const [axis, ...rest] = inner;
  const spanOfRest = rest.reduce((span, each) => span + (each.size - 1) * each.from, 1);
  const steps = Math.max(1, Math.floor((copy.source.length - spanOfRest) / axis.from) + 1);
  for (let i = 0; i < axis.size; i += steps) {
    const block = steps === 1 ? rest : [{ ...axis, size: Math.min(steps, axis.size - i) }, ...rest];
    copyAxes(block, 0, from + i * axis.from, to + i * axis.to, copy);
  }
}

/** Copies what the window holds. */
function copyBlock(axes: Axis[], depth: number, from: number, to: number, copy: Copy): void {
  const { source, target } = copy;
  if (depth === axes.length) {
    target[to] = source[from];
    return;
  }
  const axis = axes[depth];
  if (depth === axes.length - 1) {
    for (let i = 0; i < axis.size; i++) target[to + i * axis.to] = source[from + i * axis.from];
    return;
  }
  for (let i = 0; i < axis.size; i++) {
    copyBlock(axes, depth + 1, from + i * axis.from, to + i * axis.to, copy);
  }
}
