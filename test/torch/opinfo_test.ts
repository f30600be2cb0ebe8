/** Calls of PyTorch's own operator samples (its OpInfo database), recorded in PyTorch and replayed here. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { exists, REPOSITORY } from "../../src/setup/environment.ts";
import { aten } from "../../src/torch/aten.ts";
import { noGrad } from "../../src/torch/autograd.ts";
import { type DType, DTYPE_NUMBERS, isFloating } from "../../src/torch/dtype.ts";
import { fromTypedArray } from "../../src/torch/create.ts";
import { type Argument, call, callAll, operatorSchema } from "../../src/torch/operator.ts";
import { parseSchema } from "../../src/torch/schema.ts";
import { scope } from "../../src/torch/scope.ts";
import { Tensor } from "../../src/torch/tensor.ts";

const FOLDER = join(REPOSITORY, "..", "shared", "opinfo");

/** A recorded value: a tensor by name, an integer, a float, a boolean, a string, a dtype, a list, or a default. */
type Recorded =
  | { t: string }
  | { i: string }
  | { f: string }
  | { b: boolean }
  | { s: string }
  | { d: DType }
  | { l: Recorded[] }
  | { def: 1 }
  | null;

interface Sample {
  readonly op: string;
  readonly args: readonly Recorded[];
  readonly outs: readonly Recorded[];
  /** Arguments that the call changed, and what they became. */
  readonly mut: readonly (readonly [place: number, value: Recorded])[];
}

type Load = (name: string) => Tensor;

/** Floats are written as Python does. */
function toFloat(text: string): number {
  return text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
}

function toValue(recorded: Recorded, load: Load, dtype: (name: DType) => unknown): unknown {
  if (recorded === null) return null;
  if ("t" in recorded) return load(recorded.t);
  if ("i" in recorded) {
    const number = Number(recorded.i);
    return Number.isSafeInteger(number) ? number : BigInt(recorded.i);
  }
  if ("f" in recorded) return toFloat(recorded.f);
  if ("b" in recorded) return recorded.b;
  if ("s" in recorded) return recorded.s;
  if ("d" in recorded) return dtype(recorded.d);
  if ("l" in recorded) return recorded.l.map((each) => toValue(each, load, dtype));
  return undefined;
}

/** The names of the enumerators that were recorded by number. */
const ENUMERATORS: Readonly<Record<string, readonly string[]>> = {
  Layout: ["strided"],
  MemoryFormat: ["contiguous", "preserve", "channels_last", "channels_last_3d"],
};

/** Calls through the typed door: positional arguments in order, the others by name. */
function callTyped(op: string, args: readonly unknown[]): unknown[] {
  const schema = parseSchema(operatorSchema(op));
  const positional = schema.arguments.filter(({ keyword }) => !keyword).length;
  const named = Object.fromEntries(
    schema.arguments.map(({ name, type: { base } }, i) => {
      const value = args[i];
      return [
        name,
        typeof value === "number" && base in ENUMERATORS ? ENUMERATORS[base][value] : value,
      ] as const;
    }).slice(positional)
      .filter(([, value]) => value !== undefined),
  );
  const untyped = aten as unknown as Record<string, (...args: unknown[]) => unknown>;
  const result = untyped[schema.name](...args.slice(0, positional), named);
  if (schema.results.length === 0) return [];
  return schema.results.length === 1 ? [result] : result as unknown[];
}

/** Whether a result is PyTorch's, up to the rounding of a kernel for another processor. */
function isSame(actual: unknown, expected: unknown): boolean {
  if (Array.isArray(expected)) {
    return Array.isArray(actual) && actual.length === expected.length &&
      expected.every((each, i) => isSame(actual[i], each));
  }
  if (!(expected instanceof Tensor)) {
    return typeof expected === "number" && Math.abs(expected) < Infinity
      ? Math.abs(actual as number - expected) <= 1e-5 * Math.max(1, Math.abs(expected))
      : Object.is(actual, expected);
  }
  if (!(actual instanceof Tensor) || actual.dtype !== expected.dtype) return false;
  if (String(actual.shape) !== String(expected.shape)) return false;
  if (!isFloating(expected.dtype)) return callAll("aten::equal", actual, expected)[0] === true;
  const tolerance = expected.dtype === "bfloat16" ? 1e-2 : 2e-5;
  return callAll("aten::allclose", actual, expected, tolerance, tolerance, true)[0] === true;
}

function replay(typed: boolean): void {
  using file = readSafetensors(join(FOLDER, "samples.safetensors"));
  const samples: Sample[] = JSON.parse(Deno.readTextFileSync(join(FOLDER, "samples.json")));
  const load: Load = (name) => {
    const stored = file.tensors.get(name);
    assert(stored !== undefined, `the samples lack ${name}`);
    return fromTypedArray(stored.read(), stored.shape, stored.dtype);
  };
  const wrong = new Map<string, string>();
  for (const { op, args, outs, mut } of samples) {
    noGrad(() =>
      scope(() => {
        try {
          const values = args.map((each) =>
            toValue(each, load, (name) => typed ? name : DTYPE_NUMBERS[name])
          );
          const results = typed ? callTyped(op, values) : callAll(op, ...values as Argument[]);
          const expected = outs.map((each) => toValue(each, load, (name) => DTYPE_NUMBERS[name]));
          if (!isSame(results.map((each) => each ?? null), expected)) {
            wrong.set(op, `other results: ${results}`);
          }
          for (const [place, value] of mut) {
            if (
              !isSame(
                values[place],
                toValue(value, load, () => null),
              )
            ) wrong.set(op, `argument ${place} differs`);
          }
        } catch (error) {
          wrong.set(op, String(error));
        }
      })
    );
  }
  assert.deepEqual(Object.fromEntries(wrong), {});
  assert(samples.length >= 1500, `only ${samples.length} samples`);
}

for (const [door, typed] of [["call", false], ["aten", true]] as const) {
  const isThere = exists(FOLDER);
  Deno.test({
    name: `opinfo: recorded calls give PyTorch's results through ${door}${
      isThere ? "" : " (skipped: no ../shared)"
    }`,
    ignore: !isThere,
    fn: () => replay(typed),
  });
}

Deno.test("opinfo: a wrong result would be noticed", () => {
  scope(() => {
    const a = fromTypedArray(Float32Array.of(1, 2)), b = fromTypedArray(Float32Array.of(1, 2.001));
    assert(!isSame([a], [b]));
    assert(isSame([a], [call("aten::clone", a)]));
  });
});
