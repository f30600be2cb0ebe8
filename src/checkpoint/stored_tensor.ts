/**
 * Tensors as files hold them: a type, a shape and bytes, read one at a time when asked for. Numbers are little-endian;
 * what they mean is the tensor library's business.
 *
 * @module
 */

/** The element types that files are read and written in, by their PyTorch names. */
export type StoredDType =
  | "float64"
  | "float32"
  | "float16"
  | "bfloat16"
  | "int64"
  | "int32"
  | "int16"
  | "int8"
  | "uint8"
  | "bool";

/** Bytes per element of every type. */
export const ITEM_BYTES: Readonly<Record<StoredDType, number>> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
};

/** A tensor that can be written: what the header says of it, and its bytes when their turn comes. */
export interface TensorSource {
  /** The element type. */
  readonly dtype: StoredDType;
  /** The size of every dimension; empty for a single number. */
  readonly shape: readonly number[];
  /** The elements, little-endian, in row-major order without gaps. Called once for each file that is written. */
  read(): Uint8Array;
}

/** Consecutive bytes of an open file that tensors look into. Several tensors may share them. */
export interface Storage {
  /** The storage's name in its file. */
  readonly key: string;
  /** Its length. */
  readonly byteLength: number;
  /** The most bytes that a tensor of this file may have; more would be made of few bytes by repetition. */
  readonly tensorLimit: number;
  /** Fills `target` with the bytes from `offset` on. */
  readInto(offset: number, target: Uint8Array): void;
  /** Checks the stored checksum against what has not been checked yet; throws where it differs. */
  verify(): void;
}

/** Where a tensor's elements are in its storage, counted in elements. */
export interface Layout {
  /** The size of every dimension. */
  readonly shape: readonly number[];
  /** The distance between neighbours along every dimension. */
  readonly strides: readonly number[];
  /** The first element's place. */
  readonly storageOffset: number;
}

/** The number of elements of a shape; `Infinity` or an inexact number where it is too large to matter. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The strides of a row-major tensor without gaps. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  for (let d = shape.length - 1, stride = 1; d >= 0; d--) {
    strides[d] = stride;
    stride *= Math.max(shape[d], 1);
  }
  return strides;
}

/** The number of stored elements between a tensor's first and last, both counted. */
function spanOf(shape: readonly number[], strides: readonly number[]): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((span, size, d) => span + (size - 1) * strides[d], 1);
}

/** No tensor has more dimensions than this. */
const MAX_DIMENSIONS = 64;

/** A tensor in an open file. Its bytes are read anew at every {@linkcode StoredTensor.read}. */
export class StoredTensor implements TensorSource, Layout {
  /** The element type. */
  readonly dtype: StoredDType;
  /** The size of every dimension. */
  readonly shape: readonly number[];
  /** The distance between neighbours along every dimension, in elements. */
  readonly strides: readonly number[];
  /** The first element's place in the storage, in elements. */
  readonly storageOffset: number;
  /** The bytes that this tensor, and perhaps others, look into. */
  readonly storage: Storage;

  /** Throws a `RangeError` where the layout is impossible or leaves the storage. */
  constructor(dtype: StoredDType, layout: Layout, storage: Storage) {
    const { shape, strides, storageOffset } = layout;
    const isCount = (n: number) => Number.isSafeInteger(n) && n >= 0;
    const describe = () =>
      `a ${dtype} tensor of shape [${shape.slice(0, MAX_DIMENSIONS).join(", ")}], strides [${
        strides.slice(0, MAX_DIMENSIONS).join(", ")
      }] at ${storageOffset}`;
    if (
      shape.length !== strides.length || shape.length > MAX_DIMENSIONS ||
      !shape.every(isCount) || !strides.every(isCount) || !isCount(storageOffset)
    ) {
      throw new RangeError(`Cannot place ${describe()}: sizes and strides must be as many and not negative`);
    }
    const end = (storageOffset + spanOf(shape, strides)) * ITEM_BYTES[dtype];
    if (end > storage.byteLength) {
      throw new RangeError(
        `Cannot place ${describe()}: it needs ${end} bytes, storage ${storage.key} has ${storage.byteLength}`,
      );
    }
    if (elementCount(shape) * ITEM_BYTES[dtype] > storage.tensorLimit) {
      throw new RangeError(
        `Cannot place ${describe()}: its elements repeat and would take more than ${storage.tensorLimit} bytes`,
      );
    }
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
    this.storageOffset = storageOffset;
    this.storage = storage;
  }

  /** The number of bytes that {@linkcode StoredTensor.read} returns. */
  get byteLength(): number {
    return elementCount(this.shape) * ITEM_BYTES[this.dtype];
  }

  /** Whether the elements lie in row-major order without gaps. */
  get isContiguous(): boolean {
    if (this.shape.includes(0)) return true;
    let expected = 1;
    for (let d = this.shape.length - 1; d >= 0; d--) {
      if (this.shape[d] !== 1 && this.strides[d] !== expected) return false;
      expected *= this.shape[d];
    }
    return true;
  }

  /** The elements in row-major order without gaps, whatever the strides. Checks the stored checksum. */
  read(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.byteLength);
    this.readInto(bytes);
    return bytes;
  }

  /** As {@linkcode StoredTensor.read}, into memory of the caller's: as many bytes, at a multiple of the item's size. */
  readInto(target: Uint8Array): void {
    this.#checkTarget(target, this.byteLength);
    if (this.isContiguous) this.storage.readInto(this.storageOffset * ITEM_BYTES[this.dtype], target);
    else gather(this, ITEM_BYTES[this.dtype], this.storage, target);
    this.storage.verify();
  }

  /** The number of bytes that {@linkcode StoredTensor.readSpanInto} fills. */
  get spanByteLength(): number {
    return spanOf(this.shape, this.strides) * ITEM_BYTES[this.dtype];
  }

  /**
   * Fills `target` with the stored bytes from the first to the last element, for who can use the strides: where they are
   * as many as {@linkcode StoredTensor.byteLength}, these are the elements in another order (`channels_last`).
   * Checks the stored checksum.
   */
  readSpanInto(target: Uint8Array): void {
    this.#checkTarget(target, this.spanByteLength);
    this.storage.readInto(this.storageOffset * ITEM_BYTES[this.dtype], target);
    this.storage.verify();
  }

  #checkTarget(target: Uint8Array, wanted: number): void {
    if (target.length !== wanted) {
      throw new RangeError(
        `Cannot read a ${this.dtype} tensor of shape [${this.shape}] into ${target.length} bytes: it takes ${wanted}`,
      );
    }
  }
}

/** Strided elements are read through a window of this many bytes, so that no second copy of the tensor is needed. */
const WINDOW_BYTES = 1 << 20;

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

/** Copies a strided tensor into row-major order, walking through the storage from front to back. */
function gather(layout: Layout, item: number, storage: Storage, target: Uint8Array): void {
  if (target.length === 0) return;
  const word = Math.min(item, 4), words = item / word;
  const to = contiguousStrides(layout.shape);
  const axes: Axis[] = layout.shape.map((size, d) => ({
    size,
    from: layout.strides[d] * words,
    to: to[d] * words,
  }));
  axes.push({ size: words, from: 1, to: 1 });
  axes.sort((a, b) => b.from - a.from);
  const window = new Uint8Array(Math.min(WINDOW_BYTES, storage.byteLength));
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
