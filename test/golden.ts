/**
 * The reference's numbers and the made-up tensors they were computed from, for tests.
 *
 * Golden files lie in the folder that STEC_GOLDEN names, else in the project's own fixtures.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readSafetensors } from "../src/checkpoint/safetensors.ts";
import { noGrad } from "../src/torch/autograd.ts";
import { isFloating } from "../src/torch/dtype.ts";
import { counters, scope } from "../src/torch/scope.ts";
import type { Tensor } from "../src/torch/tensor.ts";
import { fromTypedArray } from "./device.ts";

/** The path of a golden file, given with its extension. */
export function goldenPath(file: string): string {
  const folder = Deno.env.get("STEC_GOLDEN");
  return folder ? `${folder}/${file}` : new URL(`./fixtures/golden/${file}`, import.meta.url).pathname;
}

/** Every tensor of `name.safetensors`; they belong to the open scope. */
export function goldenFile(name: string): Map<string, Tensor> {
  using file = readSafetensors(goldenPath(`${name}.safetensors`));
  return new Map(
    Array.from(file.tensors, ([name, stored]) => [
      name,
      fromTypedArray(stored.read(), stored.shape, stored.dtype),
    ]),
  );
}

/** The content of `name.json`, of the type that the caller knows it to have. */
export function goldenJson<T>(name: string): T {
  return JSON.parse(Deno.readTextFileSync(goldenPath(`${name}.json`)));
}

let salt: string | undefined;

/** FNV-1a, 32 bits, of the UTF-8 bytes. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function unitArray(name: string, count: number): Float64Array<ArrayBuffer> {
  salt ??= goldenJson<{ salt: string }>("meta").salt;
  const seed = fnv1a(`${salt}/${name}`), values = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let h = Math.imul(i + seed, 0x9e3779b1);
    h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    values[i] = ((h ^ (h >>> 16)) >>> 0) / 0x80000000 - 1;
  }
  return values;
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Made-up numbers in [-1, 1), a function of their name alone; float64. */
export function unit(name: string, shape: readonly number[]): Tensor {
  return fromTypedArray(unitArray(name, count(shape)), shape);
}

/** Made-up pixels in [0, 1); float64. */
export function img(name: string, shape: readonly number[]): Tensor {
  return fromTypedArray(unitArray(name, count(shape)).map((x) => (x + 1) / 2), shape);
}

/** Fills a state dict in place with made-up weights of a useful size, each tensor by its own name. */
export function fill(state: ReadonlyMap<string, Tensor>): void {
  noGrad(() => {
    for (const [name, tensor] of state) {
      if (!isFloating(tensor.dtype) || name === "projection.model.bn_output.bias") tensor.zero_();
      else scope(() => void tensor.copy_(madeUpWeight(name, tensor.shape)));
    }
  });
}

function madeUpWeight(name: string, shape: readonly number[]): Tensor {
  const weight = unit(name, shape);
  if (shape.length > 1) return weight.mul_(Math.sqrt(6 / (count(shape) / shape[0])));
  weight.mul_(0.1);
  return /(running_var|weight)$/.test(name) ? weight.add_(1) : weight;
}

/** How far two tensors may be apart: |actual - expected| <= atol + rtol * |expected|, element by element. */
export interface Tolerance {
  readonly rtol?: number;
  readonly atol?: number;
  /** What is compared, for the message. */
  readonly what?: string;
}

/** Throws an AssertionError that shows the worst element unless shapes agree and every element is close enough. */
export function assertClose(actual: Tensor, expected: Tensor, tolerance: Tolerance = {}): void {
  const { rtol = 0, atol = 0, what = "tensor" } = tolerance;
  assert.deepEqual(actual.shape, expected.shape, `${what}: shape`);
  const a = scope(() => actual.detach().double().toTypedArray() as Float64Array);
  const e = scope(() => expected.detach().double().toTypedArray() as Float64Array);
  let worst = -1, worstExcess = 1, wrong = 0;
  for (let i = 0; i < e.length; i++) {
    if (a[i] === e[i] || (Number.isNaN(a[i]) && Number.isNaN(e[i]))) continue;
    const ratio = Math.abs(a[i] - e[i]) / (atol + rtol * Math.abs(e[i]));
    // Written so that a NaN on one side counts as infinitely far.
    const excess = ratio <= 1 ? 0 : Number.isNaN(ratio) ? Infinity : ratio;
    if (excess === 0) continue;
    wrong++;
    if (excess > worstExcess) [worst, worstExcess] = [i, excess];
  }
  if (wrong === 0) return;
  assert.fail(
    `${what}: ${wrong} of ${e.length} elements differ by more than atol ${atol} + rtol ${rtol}; the worst, at ` +
      `[${place(worst, expected.shape)}], is ${a[worst]}, wanted ${e[worst]} ` +
      `(${worstExcess.toPrecision(3)} times the tolerance)`,
  );
}

/** The indices of the element at a row-major offset. */
function place(offset: number, shape: readonly number[]): number[] {
  const indices: number[] = [];
  for (let d = shape.length - 1; d >= 0; d--) {
    indices.unshift(offset % shape[d]);
    offset = Math.floor(offset / shape[d]);
  }
  return indices;
}

/** Runs `body` in a scope and asserts that it leaves no tensor and no byte behind, however often it runs. */
export function assertNoLeak(body: () => void): void {
  scope(body);
  const before = counters();
  for (let i = 0; i < 3; i++) scope(body);
  assert.deepEqual(counters(), before, "live tensors after three more runs");
}
