/**
 * The stack machine behind {@linkcode unpickle}: it reads bytes, makes values and accounts for their memory.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { PickleGlobal, PickleObject } from "./pickle_values.ts";

/** What a reader of pickles may add and must limit. */
export interface UnpickleOptions {
  /** The most memory, in bytes and estimated from above, that the values may take. */
  readonly memoryLimit: number;
  /** Gives the value of a persistent id, PyTorch's reference to a storage. Without it such ids are refused. */
  readonly persistentLoad?: (id: unknown) => unknown;
  /** Gives the value of a call of a known function, `undefined` for all others, which become inert records. */
  readonly call?: (path: string, args: readonly unknown[]) => unknown;
}

/** A pickle that goes on behind the bytes at hand. */
export class TruncatedPickleError extends RangeError {
  /** The class's name. */
  override readonly name = "TruncatedPickleError";
}

/** Estimates from above of what values take in memory, in bytes. */
const COST = { slot: 16, number: 16, text: 48, array: 192, map: 256, mapEntry: 64, object: 128 } as const;

/** Longer integers than any that programs use would only cost time. */
export const MAX_INTEGER_BYTES = 4096;

const EMPTY_TUPLE: readonly unknown[] = Object.freeze([]);

/** Reads a pickle's parts, and keeps its stack, its memo and its account of memory. */
export class Machine {
  /** Where the next byte is read. */
  position: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #options: UnpickleOptions;
  readonly #stack: unknown[] = [];
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, unknown>();
  #memory = 0;

  /** Begins at `start`. */
  constructor(bytes: Uint8Array, start: number, options: UnpickleOptions) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.#options = options;
  }

  // Reading

  /** Moves behind the next `length` bytes and says where they begin. */
  advance(length: number): number {
    const at = this.position;
    if (length > this.#bytes.length - at) {
      throw new TruncatedPickleError(
        `The pickle is cut off: ${length} bytes are wanted at byte ${at} of ${this.#bytes.length}`,
      );
    }
    this.position = at + length;
    return at;
  }

  /** The next byte. */
  byte(): number {
    return this.#bytes[this.advance(1)];
  }

  /** A little-endian unsigned 16-bit number. */
  uint16(): number {
    return this.#view.getUint16(this.advance(2), true);
  }

  /** A little-endian signed 32-bit number. */
  int32(): number {
    return this.#view.getInt32(this.advance(4), true);
  }

  /** A little-endian unsigned 32-bit number. */
  uint32(): number {
    return this.#view.getUint32(this.advance(4), true);
  }

  /** A little-endian unsigned 64-bit number; inexact where it is larger than any length can be. */
  uint64(): number {
    return Number(this.#view.getBigUint64(this.advance(8), true));
  }

  /** A big-endian 64-bit float, as pickles have them. */
  float64(): number {
    this.charge(COST.number);
    return this.#view.getFloat64(this.advance(8), false);
  }

  /** A copy of the next bytes. */
  bytes(length: number): Uint8Array {
    const at = this.advance(length);
    this.charge(COST.object + length);
    return this.#bytes.slice(at, at + length);
  }

  /** The next bytes as UTF-8. */
  text(length: number): string {
    const at = this.advance(length);
    this.charge(COST.text + 2 * length);
    return UTF8.decode(this.#bytes.subarray(at, at + length));
  }

  /** The text, in Latin-1, up to the end of the line. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.position);
    if (end < 0) throw new TruncatedPickleError(`The pickle is cut off in a line at byte ${this.position}`);
    const at = this.advance(end + 1 - this.position);
    this.charge(COST.text + end - at);
    return Buffer.from(this.#bytes.subarray(at, end)).toString("latin1");
  }

  /** A little-endian integer in two's complement. */
  integer(length: number): number | bigint {
    if (length > MAX_INTEGER_BYTES) throw new RangeError(`The pickle has an integer of ${length} bytes`);
    const at = this.advance(length);
    this.charge(COST.number + length);
    if (length === 0) return 0;
    const hex = this.#bytes.slice(at, at + length).reverse().toHex();
    return narrowed(BigInt.asIntN(8 * length, BigInt(`0x${hex}`)));
  }

  // The stack

  /** Notes that about so many bytes of memory are being taken. */
  charge(bytes: number): void {
    this.#memory += bytes;
    if (this.#memory > this.#options.memoryLimit) {
      throw new RangeError(
        `The pickle would take more than ${this.#options.memoryLimit} bytes of memory, which its file's size does not explain`,
      );
    }
  }

  /** Puts a value on the stack. */
  push(value: unknown): void {
    this.charge(COST.slot);
    this.#stack.push(value);
  }

  /** Takes the last value. */
  pop(): unknown {
    this.top();
    return this.#stack.pop();
  }

  /** The last value; throws where there is none above the last mark. */
  top(): unknown {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) {
      throw new RangeError(`The pickle takes a value from an empty stack before byte ${this.position}`);
    }
    return this.#stack[this.#stack.length - 1];
  }

  /** Notes the height of the stack. */
  mark(): void {
    this.charge(COST.slot);
    this.#marks.push(this.#stack.length);
  }

  /** Takes all values above the last mark, and the mark. */
  popMark(): unknown[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw new RangeError(`The pickle misses a mark before byte ${this.position}`);
    return this.#stack.splice(mark);
  }

  /** Takes one value or, where there is none above it, the last mark. */
  discard(): void {
    if (this.#stack.length === this.#marks.at(-1)) this.#marks.pop();
    else this.pop();
  }

  /** Notes the last value under a number. */
  remember(key: number): void {
    this.charge(COST.mapEntry);
    this.#memo.set(key, this.top());
  }

  /** Notes the last value under the next number. */
  memoize(): void {
    this.remember(this.#memo.size);
  }

  /** Puts a noted value on the stack. */
  recall(key: number): void {
    if (!this.#memo.has(key)) {
      throw new RangeError(
        `The pickle recalls value ${key}, which it never noted, before byte ${this.position}`,
      );
    }
    this.push(this.#memo.get(key));
  }

  // Making values

  /** Puts a tuple of these items, which become frozen, on the stack. */
  pushTuple(items: unknown[]): void {
    this.charge(COST.text + COST.slot * items.length);
    this.push(items.length === 0 ? EMPTY_TUPLE : Object.freeze(items));
  }

  /** Takes so many values; the last pushed comes last. */
  popSome(count: number): unknown[] {
    const items = new Array<unknown>(count);
    for (let i = count - 1; i >= 0; i--) items[i] = this.pop();
    return items;
  }

  /** Puts a list of these items on the stack. */
  pushList(items: unknown[]): void {
    this.charge(COST.array + COST.slot * items.length);
    this.push(items);
  }

  /** Puts a dict of these keys and values, in turn, on the stack. */
  pushMap(items: unknown[]): void {
    const map = new Map<unknown, unknown>();
    this.charge(COST.map);
    this.#fill(map, items);
    this.push(map);
  }

  /** Puts a set of these items on the stack. */
  pushSet(items: unknown[]): void {
    this.charge(COST.map + COST.mapEntry * items.length);
    this.push(new Set(items));
  }

  /** Appends items to the list on the stack, or notes that an unknown object would have them appended. */
  appendAll(items: readonly unknown[]): void {
    const target = this.top();
    this.charge(COST.slot * items.length);
    const list = target instanceof PickleObject ? (target.items ??= []) : target;
    if (!Array.isArray(list) || Object.isFrozen(list)) {
      throw new TypeError(`The pickle appends to ${describe(target)} before byte ${this.position}`);
    }
    for (const item of items) list.push(item);
  }

  /** Stores keys and values, in turn, in the dict on the stack, or notes that an unknown object would have them stored. */
  setAll(items: readonly unknown[]): void {
    const target = this.top();
    const map = target instanceof PickleObject ? (target.entries ??= new Map()) : target;
    if (!(map instanceof Map)) {
      throw new TypeError(`The pickle stores items in ${describe(target)} before byte ${this.position}`);
    }
    this.#fill(map, items);
  }

  #fill(map: Map<unknown, unknown>, items: readonly unknown[]): void {
    if (items.length % 2 !== 0) {
      throw new RangeError(`The pickle has a key without value before byte ${this.position}`);
    }
    this.charge(COST.mapEntry * items.length);
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
  }

  /** Adds items to the set on the stack. */
  addAll(items: readonly unknown[]): void {
    const target = this.top();
    if (!(target instanceof Set)) {
      throw new TypeError(`The pickle adds items to ${describe(target)} before byte ${this.position}`);
    }
    this.charge(COST.mapEntry * items.length);
    for (const item of items) target.add(item);
  }

  /** Puts the name of a class or function on the stack. */
  pushGlobal(module: unknown, name: unknown): void {
    if (typeof module !== "string" || typeof name !== "string") {
      throw new TypeError(`The pickle names a class by ${describe(module)} and ${describe(name)}`);
    }
    this.charge(COST.object);
    this.push(new PickleGlobal(module, name));
  }

  /** Replaces a persistent id by its value. */
  pushPersistent(): void {
    const id = this.pop();
    if (!this.#options.persistentLoad) throw new TypeError("The pickle refers to data outside of it");
    this.charge(COST.object);
    this.push(this.#options.persistentLoad(id));
  }

  /** What calling `callee` gives: plain data where it is known to, else an inert record. */
  pushCall(callee: unknown, args: unknown): void {
    if (!Array.isArray(args)) {
      throw new TypeError(`The pickle calls ${describe(callee)} with ${describe(args)}`);
    }
    this.charge(COST.map);
    if (!(callee instanceof PickleGlobal)) {
      // The result of a call, called: `functools.partial(f)(x)`.
      if (!(callee instanceof PickleObject)) throw new TypeError(`The pickle calls ${describe(callee)}`);
      this.push(new PickleObject(new PickleGlobal(callee.module, `${callee.name}()`), args));
      return;
    }
    const path = callee.path;
    if (isDangerous(path)) {
      throw new TypeError(
        `The pickle calls ${path}, which no checkpoint needs and which may be an attack: nothing was run`,
      );
    }
    const made = this.#plain(path, args) ?? this.#options.call?.(path, args);
    this.push(made === undefined ? new PickleObject(callee, args) : made);
  }

  /** Python's way of pickling its own collections and, up to protocol 2, bytes; `undefined` for all else. */
  #plain(path: string, args: readonly unknown[]): unknown {
    const first = args[0];
    switch (path) {
      case "builtins.set":
      case "builtins.frozenset":
        return new Set(this.#elements(first));
      case "collections.OrderedDict":
      case "collections.Counter":
        return new Map(this.#elements(first).filter(isPair));
      case "collections.defaultdict":
        return new Map();
      case "builtins.bytes":
        return args.length === 0 ? new Uint8Array() : undefined;
      case "builtins.bytearray":
        return first instanceof Uint8Array ? first : args.length === 0 ? new Uint8Array() : undefined;
      case "_codecs.encode":
        return typeof first === "string" && args[1] === "latin1" ? this.#latin1(first) : undefined;
      case "torch.Size":
        return Object.freeze(this.#elements(first));
      case "copyreg._reconstructor":
      case "copyreg.__newobj__":
        return first instanceof PickleGlobal ? new PickleObject(first, args.slice(1)) : undefined;
      default:
        return undefined;
    }
  }

  /** A copy of a collection's elements, of a dict's keys and values. */
  #elements(value: unknown): unknown[] {
    if (!Array.isArray(value) && !(value instanceof Set) && !(value instanceof Map)) return [];
    this.charge(COST.map + 2 * COST.mapEntry * (Array.isArray(value) ? value.length : value.size));
    return [...value];
  }

  #latin1(text: string): Uint8Array {
    this.charge(text.length);
    return Uint8Array.from(text, (character) => character.charCodeAt(0));
  }

  /** Notes the last value as the state of the object below it. */
  build(): void {
    const state = this.pop(), target = this.top();
    if (target instanceof PickleObject) target.state = state;
    // A dict may carry attributes, as PyTorch's state dicts do with their version; they are not needed here.
    else if (!(target instanceof Map)) {
      throw new TypeError(`The pickle sets the state of ${describe(target)} before byte ${this.position}`);
    }
  }
}

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** An integer as a number where that is exact. */
export function narrowed(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Modules whose functions reach outside of the program; a pickle that calls one is an attack, not a checkpoint. */
const DANGEROUS_MODULES: ReadonlySet<string> = new Set(
  "os posix nt sys subprocess shutil socket pty popen2 runpy importlib ctypes webbrowser timeit pdb bdb"
    .split(" "),
);
const DANGEROUS_BUILTINS: ReadonlySet<string> = new Set(
  "eval exec execfile compile open input __import__ breakpoint exit quit globals vars apply".split(" "),
);

function isDangerous(path: string): boolean {
  const [module, name] = path.split(".", 2);
  return DANGEROUS_MODULES.has(module) || module === "builtins" && DANGEROUS_BUILTINS.has(name);
}

function isPair(value: unknown): value is [unknown, unknown] {
  return Array.isArray(value) && value.length === 2;
}

function describe(value: unknown): string {
  if (value === null) return "None";
  if (value instanceof PickleGlobal) return value.path;
  if (value instanceof PickleObject) return `an object of ${value.module}.${value.name}`;
  if (Array.isArray(value)) return Object.isFrozen(value) ? "a tuple" : "a list";
  return typeof value === "object" ? `a ${value.constructor.name}` : `a ${typeof value}`;
}
