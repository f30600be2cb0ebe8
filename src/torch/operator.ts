/**
 * One door to every operator of libtorch: arguments are written into the frame, the shim converts them as the
 * operator's schema wants.
 *
 * @module
 */

import {
  check,
  native,
  nativeError,
  PAYLOAD,
  payload,
  payloadBytes,
  readText,
  slotIntegers,
  slotNumbers,
  slotWords,
} from "./library.ts";
import { Generator } from "./random.ts";
import { Tensor } from "./tensor.ts";

/**
 * An argument of an operator. A whole number is an int where the schema leaves the choice (a Scalar), `undefined`
 * takes the schema's default, `null` is None; dtypes are numbers (`DTYPE_NUMBERS`), devices text.
 */
export type Argument =
  | Tensor
  | number
  | bigint
  | boolean
  | string
  | null
  | undefined
  | Generator
  | readonly (number | bigint)[]
  | readonly boolean[]
  | readonly (Tensor | null)[];

/** A result of an operator. */
export type Result = Tensor | number | boolean | null | Tensor[];

const enum Tag {
  Default,
  None,
  Tensor,
  Number,
  Bool,
  Int64,
  String,
  Numbers,
  Tensors,
  Generator,
  First,
}

const numbers = new Map<string, number>();

function find(name: string): number {
  const text = new TextEncoder().encode(name);
  const op = check(native.stec_find_operator(text, text.length), "find an operator");
  numbers.set(name, op);
  return op;
}

/** The schema of an operator as text, for example of `aten::add.Tensor`. */
export function operatorSchema(name: string): string {
  const op = numbers.get(name) ?? find(name);
  return readText((out, capacity) => check(native.stec_operator_schema(op, out, capacity), name));
}

/** The schemas of all overloads of an operator such as `aten::add`, or of every operator where no name is given. */
export function operatorSchemas(name: string = ""): string[] {
  const bytes = new TextEncoder().encode(name);
  const text = readText((out, capacity) =>
    check(native.stec_operator_schemas(bytes, bytes.length, out, capacity), "list operators")
  );
  return text.split("\n").slice(0, -1);
}

function reserve(used: number, count: number): number {
  if (used + count > PAYLOAD) {
    throw new RangeError(`Cannot pass ${used + count} list elements in one call: at most ${PAYLOAD} fit`);
  }
  return used + count;
}

function putList(
  slot: number,
  list: readonly (number | bigint | boolean | Tensor | null)[],
  used: number,
): number {
  const end = reserve(used, list.length);
  // An empty list is a list of numbers here; the shim takes it for an empty list of whatever the schema wants.
  const ofTensors = list.length > 0 && typeof (list[0] ?? {}) === "object";
  slotWords[4 * slot] = ofTensors ? Tag.Tensors : Tag.Numbers;
  slotWords[4 * slot + 1] = list.length;
  slotNumbers[2 * slot + 1] = used;
  for (let i = 0; i < list.length; i++) {
    const item = list[i];
    payload[used + i] = item === null ? 0 : typeof item === "object" ? item.handle : Number(item);
  }
  return end;
}

function putText(slot: number, text: string, used: number): number {
  const bytes = new TextEncoder().encode(text);
  const end = reserve(used, Math.ceil(bytes.length / 8));
  payloadBytes.set(bytes, used * 8);
  slotWords[4 * slot] = Tag.String;
  slotWords[4 * slot + 1] = bytes.length;
  slotNumbers[2 * slot + 1] = used;
  return end;
}

/** Writes one argument into its slot; lists go to the payload from `used` on. Returns the payload's new end. */
export function putArgument(slot: number, argument: Argument, used: number): number {
  if (argument instanceof Tensor) {
    slotWords[4 * slot] = Tag.Tensor;
    slotNumbers[2 * slot + 1] = argument.handle;
  } else if (typeof argument === "number") {
    slotWords[4 * slot] = Tag.Number;
    slotNumbers[2 * slot + 1] = argument;
  } else if (argument === undefined) {
    slotWords[4 * slot] = Tag.Default;
  } else if (typeof argument === "boolean") {
    slotWords[4 * slot] = Tag.Bool;
    slotNumbers[2 * slot + 1] = argument ? 1 : 0;
  } else if (argument === null) {
    slotWords[4 * slot] = Tag.None;
  } else if (typeof argument === "bigint") {
    slotWords[4 * slot] = Tag.Int64;
    slotIntegers[2 * slot + 1] = argument;
  } else if (typeof argument === "string") {
    return putText(slot, argument, used);
  } else if (argument instanceof Generator) {
    slotWords[4 * slot] = Tag.Generator;
    slotNumbers[2 * slot + 1] = argument.handle;
  } else {
    return putList(slot, argument, used);
  }
  return used;
}

function takeResult(slot: number, first: Argument): Result {
  const value = slotNumbers[2 * slot + 1];
  switch (slotWords[4 * slot] as Tag) {
    case Tag.Tensor:
      return new Tensor(value);
    case Tag.First:
      return first as Tensor;
    case Tag.Number:
      return value;
    case Tag.Int64:
      return Number(slotIntegers[2 * slot + 1]);
    case Tag.Bool:
      return value !== 0;
    case Tag.Tensors:
      return Array.from(
        payload.subarray(value, value + slotWords[4 * slot + 1]),
        (handle) => new Tensor(handle),
      );
    default:
      return null;
  }
}

function takeResults(count: number, first: Argument): Result[] {
  const taken: Result[] = [];
  for (let i = 0; i < count; i++) taken.push(takeResult(i, first));
  return taken;
}

function run(name: string, args: readonly Argument[]): number {
  const op = numbers.get(name) ?? find(name);
  let used = 0;
  for (let i = 0; i < args.length; i++) used = putArgument(i, args[i], used);
  const results = native.stec_call(op, args.length);
  if (results < 0) throw nativeError(name);
  return results;
}

/**
 * Calls any operator and returns all of its results; whole numbers beyond 2^53 are rounded.
 *
 * @example
 * ```ts
 * import { callAll, tensor } from "@stec/stec";
 * const [values, indices] = callAll("aten::topk", tensor([3, 1, 2]), 2);
 * ```
 */
export function callAll(name: string, ...args: readonly Argument[]): Result[] {
  return takeResults(run(name, args), args[0]);
}

/** Calls an operator whose (first) result is a tensor; in-place operators return their first argument itself. */
export function call(name: string, ...args: readonly Argument[]): Tensor {
  return callOne(name, args);
}

/** As {@linkcode call}, with the arguments in an array. */
export function callOne(name: string, args: readonly Argument[]): Tensor {
  const results = run(name, args);
  if (results === 1) {
    const tag = slotWords[0];
    if (tag === Tag.Tensor) return new Tensor(slotNumbers[1]);
    if (tag === Tag.First) return args[0] as Tensor;
  }
  takeResults(results, args[0]); // somebody must own them
  throw new TypeError(`Cannot take one tensor from ${name}: use callAll for its results`);
}

/** Calls an operator that returns a list of tensors. */
export function callList(name: string, ...args: readonly Argument[]): Tensor[] {
  const [list] = callAll(name, ...args);
  return list as Tensor[];
}

/** Calls an operator for its effect on its arguments. */
export function callInPlace(name: string, ...args: readonly Argument[]): void {
  // What an in-place operator returns beside its first argument is owned by nobody: take it, so that the scope frees it.
  takeResults(run(name, args), args[0]);
}
