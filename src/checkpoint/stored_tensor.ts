/**
 * Tensors as files hold them: a type, a shape and bytes, read one at a time when asked for. Numbers are little-endian;
 * what they mean is the tensor library's business.
 *
 * @module
 */

import { gather } from "./gather.ts";
import { PIECE_BYTES } from "../zip/format.ts";

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
  /**
   * The same in pieces, each in `buffer` and good until the next one. Sources that would have to make a copy for `read`
   * should have it: writers then call this alone.
   */
  pieces?(buffer: Uint8Array<ArrayBuffer>): Iterable<Uint8Array>;
}

/** What sources are read through. */
const buffer = new Uint8Array(PIECE_BYTES);

/** A source's bytes, as many as its type and shape say, in pieces that are good until the next one is asked for. */
export function* piecesOf(name: string, source: TensorSource): Generator<Uint8Array> {
  const wanted = byteLengthOf(source);
  let given = 0;
  for (const piece of source.pieces?.(buffer) ?? [source.read()]) {
    given += piece.length;
    if (given <= wanted) yield piece;
  }
  if (given !== wanted) {
    throw new RangeError(
      `${name} of shape [${source.shape}] takes ${wanted} bytes, its source gave ${given}`,
    );
  }
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

/** The number of bytes of a tensor's elements. */
export function byteLengthOf({ dtype, shape }: Pick<TensorSource, "dtype" | "shape">): number {
  return elementCount(shape) * ITEM_BYTES[dtype];
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
    return byteLengthOf(this);
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
    const bytes = new Uint8Array(this.byteLength), item = ITEM_BYTES[this.dtype];
    if (this.isContiguous) this.storage.readInto(this.storageOffset * item, bytes);
    else gather(this, item, contiguousStrides(this.shape), this.storage, bytes);
    this.storage.verify();
    return bytes;
  }

  /**
   * The same in pieces, see {@linkcode TensorSource}. One piece is the whole tensor where parts of it would have to be
   * looked for all over the file, as in a transposed matrix.
   */
  *pieces(buffer: Uint8Array<ArrayBuffer>): Generator<Uint8Array> {
    if (this.isContiguous) return yield* this.storedPieces(buffer);
    const [rows, ...shape] = this.shape, [stride, ...strides] = this.strides;
    const item = ITEM_BYTES[this.dtype], rowBytes = elementCount(shape) * item;
    if (stride < spanOf(shape, strides) || rowBytes > buffer.length) return yield this.read();
    const many = Math.floor(buffer.length / rowBytes), to = contiguousStrides(this.shape);
    for (let row = 0; row < rows; row += many) {
      const some = Math.min(many, rows - row), piece = buffer.subarray(0, some * rowBytes);
      const storageOffset = this.storageOffset + row * stride;
      gather(
        { shape: [some, ...shape], strides: this.strides, storageOffset },
        item,
        to,
        this.storage,
        piece,
      );
      yield piece;
    }
    this.storage.verify();
  }

  /**
   * Whether the stored bytes from the first to the last element are the elements, each once, in whatever order: row-major
   * or, for instance, with the channels last.
   */
  get isDense(): boolean {
    const axes = this.shape.map((size, d) => ({ size, stride: this.strides[d] })).filter(({ size }) =>
      size !== 1
    );
    if (this.shape.includes(0)) return true;
    axes.sort((a, b) => a.stride - b.stride);
    let expected = 1;
    for (const { size, stride } of axes) {
      if (stride !== expected) return false;
      expected *= size;
    }
    return true;
  }

  /**
   * The stored bytes of a tensor that {@linkcode StoredTensor.isDense}, in their own order, for who can use the strides; in
   * pieces as of {@linkcode StoredTensor.pieces}. Checks the stored checksum at the end.
   */
  *storedPieces(buffer: Uint8Array<ArrayBuffer>): Generator<Uint8Array<ArrayBuffer>> {
    const start = this.storageOffset * ITEM_BYTES[this.dtype], { byteLength } = this;
    for (let offset = 0; offset < byteLength; offset += buffer.length) {
      const piece = buffer.subarray(0, byteLength - offset);
      this.storage.readInto(start + offset, piece);
      yield piece;
    }
    this.storage.verify();
  }
}
