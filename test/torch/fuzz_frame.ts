/**
 * Calls operators with frames that no caller would fill so: random tags, counts, offsets, handles and numbers. Whatever
 * the shim is given, it must answer with a result or an error. Run by fuzz_test.ts in a process of its own, which a crash
 * would end: `fuzz_frame.ts SEED CALLS OPERATOR...`.
 */

import { Random } from "../../src/base/random.ts";
import { fromTypedArray, ones } from "../../src/torch/create.ts";
import { native, PAYLOAD, payload, slotNumbers, slotWords } from "../../src/torch/library.ts";
import { operatorSchema } from "../../src/torch/operator.ts";
import { Generator } from "../../src/torch/random.ts";
import { counters } from "../../src/torch/scope.ts";

const [seed, calls, ...operators] = Deno.args;
const random = new Random(Number(seed));

function pick<T>(items: readonly T[]): T {
  return items[random.below(items.length)];
}

const tensors = [
  ones([]),
  ones([3]),
  ones([2, 3]).requiresGrad_(),
  ones([2, 3, 5, 5]),
  ones([0, 3]),
  ones([4, 3, 3, 3], { dtype: "float64" }),
  ones([2, 2], { dtype: "bfloat16" }),
  ones([2, 3], { dtype: "float16" }),
  fromTypedArray(new BigInt64Array([0n, 1n])),
  fromTypedArray(new BigInt64Array([-7n, 1n << 40n, 3n])),
  fromTypedArray(new Uint8Array([0, 1, 1]), [3], "bool"),
  fromTypedArray(new Uint8Array([0, 1, 255, 4, 5, 6]), [2, 3]),
  ones([2, 3, 4, 4], { device: "meta" }),
];
const freed = ones([2]);
const stale = freed.handle;
freed[Symbol.dispose]();
const generator = new Generator(1);

const HANDLES = [...tensors.map((tensor) => tensor.handle), stale, generator.handle, 0];
const SMALL = [-2, -1, 0, 1, 2, 3, 5];
// Sizes between the small ones and these would be granted, and fill the memory.
const ODD = [NaN, Infinity, -Infinity, -0, 0.5, 2 ** 40, 2 ** 53, -(2 ** 53), 2 ** 63, 1e300, 5e-324];
const COUNTS = [0, 1, 2, 3, 4, 64, PAYLOAD, PAYLOAD + 1, 0x7fffffff, 0xffffffff];
const OFFSETS = [0, 1, 0.5, 100, PAYLOAD - 1, PAYLOAD, -1];
const TAGS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xffffffff];

function number(): number {
  return random.below(8) === 0 ? pick(ODD) : pick(SMALL);
}

function put(slot: number, tag: number, count: number, value: number): void {
  slotWords[4 * slot] = tag;
  slotWords[4 * slot + 1] = count;
  slotNumbers[2 * slot + 1] = value;
}

function putAnything(slot: number): void {
  const tag = pick(TAGS), isHandle = tag === 2 || tag === 9;
  put(slot, tag, pick(COUNTS), pick(isHandle ? HANDLES : random.below(2) === 0 ? OFFSETS : ODD));
}

/** Puts what the schema wants, roughly, so that calls come as far as the operator. */
function putFitting(slot: number, type: string): void {
  const offset = 8 * slot;
  if (type.startsWith("Tensor")) {
    if (!type.includes("[")) return put(slot, 2, 0, pick(tensors).handle);
    for (let i = 0; i < 3; i++) payload[offset + i] = pick(tensors).handle;
    return put(slot, 8, random.below(4), offset);
  }
  if (type.includes("[")) {
    for (let i = 0; i < 4; i++) payload[offset + i] = number();
    return put(slot, 7, random.below(5), offset);
  }
  if (type.startsWith("bool")) return put(slot, 4, 0, random.below(2));
  if (type.startsWith("Device") || type.startsWith("str")) {
    for (let i = 0; i < 8; i++) payload[offset + i] = number();
    return put(slot, 6, random.below(20), offset);
  }
  if (type.startsWith("Generator")) return put(slot, 9, 0, generator.handle);
  put(slot, 3, 0, number());
}

function types(name: string): string[] {
  const [, list] = /\((.*)\) ->/.exec(operatorSchema(name))!;
  return list.split(", ").filter((part) => part !== "*").map((part) => part.replace(/\(\w+!?\)/, ""));
}

function callOnce(name: string, op: number): void {
  const parameters = types(name);
  const given = random.below(4) === 0 ? random.below(66) : random.below(parameters.length + 1);
  for (let slot = 0; slot < Math.min(given, 64); slot++) {
    const kind = random.below(10);
    if (kind === 0) putAnything(slot);
    else if (kind === 1) put(slot, random.below(2), 0, 0);
    else putFitting(slot, parameters[slot] ?? "int");
  }
  const results = native.stec_call(op, given);
  // What came back is freed at once: its size may be anything.
  for (let slot = 0; slot < results; slot++) {
    if (slotWords[4 * slot] === 2) native.stec_tensor_free(slotNumbers[2 * slot + 1]);
    if (slotWords[4 * slot] === 8) {
      const start = slotNumbers[2 * slot + 1];
      for (let i = 0; i < slotWords[4 * slot + 1]; i++) native.stec_tensor_free(payload[start + i]);
    }
  }
}

function gradientsOnce(): void {
  for (let slot = 0; slot < 3; slot++) {
    if (random.below(2) === 0) putAnything(slot);
    else putFitting(slot, "Tensor[]");
  }
  const count = native.stec_gradients(random.below(2), random.below(2), random.below(2));
  for (let i = 0; i < count; i++) native.stec_tensor_free(payload[i]);
}

const encoder = new TextEncoder();
const before = counters().tensors;
for (const name of operators) {
  // A crash is the fault of the operator that was named last.
  Deno.stdout.writeSync(encoder.encode(`${name}\n`));
  const text = encoder.encode(name), op = native.stec_find_operator(text, text.length);
  for (let i = 0; i < Number(calls); i++) callOnce(name, op);
}
for (let i = 0; i < 10 * Number(calls); i++) gradientsOnce();
if (counters().tensors !== before) throw new Error(`${counters().tensors - before} tensors are left over`);
Deno.stdout.writeSync(encoder.encode("survived\n"));
