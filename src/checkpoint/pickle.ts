/**
 * Writes plain data and tensors as a pickle of protocol 2, in the words that `torch.load(path, weights_only=True)` accepts.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { STORAGE_CLASSES } from "./pytorch_values.ts";
import { contiguousStrides, elementCount, ITEM_BYTES, type TensorSource } from "./stored_tensor.ts";

/**
 * What can be written. Arrays become lists, frozen arrays tuples, Maps and plain objects dicts; whole numbers become ints,
 * all others floats (see {@linkcode PickleFloat}).
 */
export type Picklable =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleFloat
  | TensorSource
  | readonly Picklable[]
  | ReadonlyMap<Picklable, Picklable>
  | { readonly [key: string]: Picklable };

/** A number that is a float to Python even where it is whole. */
export class PickleFloat {
  /** The number. */
  readonly value: number;

  /** Wraps a number. */
  constructor(value: number) {
    this.value = value;
  }
}

/** A pickle, and the tensors that it refers to: the storage called `i` holds the bytes of tensor `i`. */
export interface Pickled {
  /** The pickle. */
  readonly bytes: Uint8Array;
  /** The tensors, each once, in the order of their first mention. */
  readonly tensors: readonly TensorSource[];
}

/** Whether a value can be written as a tensor. */
export function isTensorSource(value: unknown): value is TensorSource {
  if (typeof value !== "object" || value === null || !("read" in value) || !("dtype" in value)) return false;
  return typeof value.read === "function" && typeof value.dtype === "string" && value.dtype in ITEM_BYTES &&
    "shape" in value && Array.isArray(value.shape);
}

/** Pickles a tree. The values' types are checked again here; a `TypeError` says where one is not known. */
export function pickle(root: Picklable): Pickled {
  const pickler = new Pickler();
  pickler.write(root, []);
  return pickler.finish();
}

/** A deeper tree is none, it refers to itself. */
const MAX_DEPTH = 100;

const TEXT = new TextEncoder();

class Pickler {
  #bytes = new Uint8Array(1 << 12);
  #length = 0;
  readonly #memo = new Map<unknown, number>();
  readonly #tensors = new Map<TensorSource, number>();

  constructor() {
    this.#op("\x80\x02");
  }

  finish(): Pickled {
    this.#op(".");
    return { bytes: this.#bytes.slice(0, this.#length), tensors: [...this.#tensors.keys()] };
  }

  /** @param path the keys that lead to the value, for messages */
  write(value: unknown, path: readonly unknown[]): void {
    if (path.length > MAX_DEPTH) {
      throw new RangeError(`Cannot write ${at(path.slice(0, 5))}...: it is too deep`);
    }
    if (value === null) this.#op("N");
    else if (typeof value === "boolean") this.#op(value ? "\x88" : "\x89");
    else if (typeof value === "number") this.#number(value);
    else if (typeof value === "bigint") this.#long(value);
    else if (typeof value === "string") this.#text(value);
    else if (value instanceof PickleFloat) this.#float(value.value);
    else if (value instanceof Uint8Array) this.#binary(value);
    else if (Array.isArray(value)) this.#array(value, path);
    else if (value instanceof Map) this.#entries(value, path);
    else if (isTensorSource(value)) this.#tensor(value);
    else if (isPlainObject(value)) this.#entries(Object.entries(value), path);
    else {throw new TypeError(
        `Cannot write ${at(path)}: it is ${describe(value)}, not plain data or a tensor`,
      );}
  }

  #number(value: number): void {
    if (!Number.isInteger(value) || Object.is(value, -0)) this.#float(value);
    else if (value >= 0 && value < 0x100) this.#op("K", 1, (view, i) => view.setUint8(i, value));
    else if (value >= 0 && value < 0x10000) this.#op("M", 2, (view, i) => view.setUint16(i, value, true));
    else if (value === (value | 0)) this.#op("J", 4, (view, i) => view.setInt32(i, value, true));
    else if (Number.isSafeInteger(value)) this.#long(BigInt(value));
    else this.#float(value);
  }

  #float(value: number): void {
    this.#op("G", 8, (view, i) => view.setFloat64(i, value, false));
  }

  /** An integer of any size up to 255 bytes, in two's complement. */
  #long(value: bigint): void {
    const bytes: number[] = [];
    for (let rest = value, done = false; !done; rest >>= 8n) {
      bytes.push(Number(rest & 0xffn));
      done = rest >> 7n === 0n || rest >> 7n === -1n;
    }
    if (bytes.length > 0xff) {
      throw new RangeError(`Cannot write an integer of ${bytes.length} bytes: 255 is the limit`);
    }
    this.#op("\x8a", 1, (view, i) => view.setUint8(i, bytes.length));
    this.#raw(Uint8Array.from(bytes));
  }

  #text(value: string): void {
    this.#once(`text ${value}`, () => {
      const bytes = TEXT.encode(value);
      this.#op("X", 4, (view, i) => view.setUint32(i, bytes.length, true));
      this.#raw(bytes);
    });
  }

  /** Protocol 2 has no bytes: Python makes them of text. */
  #binary(value: Uint8Array): void {
    this.#global("_codecs", "encode");
    this.#text(Buffer.from(value).toString("latin1"));
    this.#text("latin1");
    this.#op("\x86R");
  }

  #array(values: readonly unknown[], path: readonly unknown[]): void {
    const isTuple = Object.isFrozen(values);
    this.#op(isTuple ? "(" : "](");
    values.forEach((value, i) => this.write(value, [...path, i]));
    this.#op(isTuple ? "t" : "e");
  }

  #entries(entries: Iterable<readonly [unknown, unknown]>, path: readonly unknown[]): void {
    this.#op("}(");
    for (const [key, value] of entries) {
      this.write(key, path);
      this.write(value, [...path, key]);
    }
    this.#op("u");
  }

  /** `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())` */
  #tensor(source: TensorSource): void {
    this.#once(source, () => {
      const key = this.#tensors.size;
      this.#tensors.set(source, key);
      this.#global("torch._utils", "_rebuild_tensor_v2");
      this.#op("((");
      this.#text("storage");
      this.#global("torch", STORAGE_CLASSES[source.dtype]);
      this.#text(String(key));
      this.#text("cpu");
      this.#number(elementCount(source.shape));
      this.#op("tQ");
      this.#number(0);
      this.#sizes(source.shape);
      this.#sizes(contiguousStrides(source.shape));
      this.#op("\x89");
      this.#global("collections", "OrderedDict");
      this.#op(")RtR");
    });
  }

  #sizes(sizes: readonly number[]): void {
    this.#op("(");
    for (const size of sizes) this.#number(size);
    this.#op("t");
  }

  #global(module: string, name: string): void {
    this.#once(`global ${module}.${name}`, () => {
      this.#op("c");
      this.#raw(TEXT.encode(`${module}\n${name}\n`));
    });
  }

  /** Writes what `key` stands for when it first comes and refers to it afterwards. */
  #once(key: unknown, write: () => void): void {
    const known = this.#memo.get(key);
    if (known === undefined) {
      write();
      this.#memo.set(key, this.#memo.size);
      this.#indexed("q", "r", this.#memo.size - 1);
    } else {
      this.#indexed("h", "j", known);
    }
  }

  #indexed(short: string, long: string, index: number): void {
    if (index < 0x100) this.#op(short, 1, (view, i) => view.setUint8(i, index));
    else this.#op(long, 4, (view, i) => view.setUint32(i, index, true));
  }

  /** Writes opcodes and, after the last, so many bytes of its argument. */
  #op(opcodes: string, argumentBytes?: number, set?: (view: DataView, offset: number) => void): void {
    const start = this.#reserve(opcodes.length + (argumentBytes ?? 0));
    for (let i = 0; i < opcodes.length; i++) this.#bytes[start + i] = opcodes.charCodeAt(i);
    set?.(new DataView(this.#bytes.buffer), start + opcodes.length);
  }

  #raw(bytes: Uint8Array): void {
    // First reserve: that may replace the buffer.
    const start = this.#reserve(bytes.length);
    this.#bytes.set(bytes, start);
  }

  #reserve(length: number): number {
    const start = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const longer = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      longer.set(this.#bytes.subarray(0, start));
      this.#bytes = longer;
    }
    return start;
  }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function at(path: readonly unknown[]): string {
  return path.length === 0 ? "the tree" : path.join(".");
}

function describe(value: unknown): string {
  return typeof value === "object" && value !== null ? `a ${value.constructor.name}` : `${typeof value}`;
}
