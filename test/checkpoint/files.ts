/** Files that the tests of this folder make and break. */

import assert from "node:assert/strict";
import type { StoredDType, TensorSource } from "../../src/checkpoint/stored_tensor.ts";

/** Runs `body` with an empty folder, which is removed afterwards. */
export function inFolder(body: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync({ prefix: "stec-test-" });
  try {
    body(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** A fixture of this folder's subject. */
export function fixture(name: string): string {
  return new URL(`../fixtures/checkpoint/${name}`, import.meta.url).pathname;
}

/** A tensor source of numbers, in the types that have a typed array. */
export function source(
  dtype: StoredDType,
  shape: readonly number[],
  numbers: readonly number[],
): TensorSource {
  return { dtype, shape, read: () => new Uint8Array(typedArray(dtype, numbers).buffer) };
}

function typedArray(dtype: StoredDType, numbers: readonly number[]): ArrayBufferView<ArrayBuffer> {
  switch (dtype) {
    case "float64":
      return Float64Array.from(numbers);
    case "float32":
      return Float32Array.from(numbers);
    case "int64":
      return BigInt64Array.from(numbers, BigInt);
    case "int32":
      return Int32Array.from(numbers);
    case "int16":
      return Int16Array.from(numbers);
    case "float16":
      return Float16Array.from(numbers);
    case "bfloat16":
      return Uint16Array.from(numbers, (x) => new Uint32Array(Float32Array.of(x).buffer)[0] >>> 16);
    default:
      return Int8Array.from(numbers);
  }
}

/** The numbers of a tensor that can be read. */
export function numbersOf(tensor: TensorSource): number[] {
  const bytes = tensor.read();
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
  switch (tensor.dtype) {
    case "float64":
      return [...new Float64Array(buffer)];
    case "float32":
      return [...new Float32Array(buffer)];
    case "int64":
      return [...new BigInt64Array(buffer)].map(Number);
    case "int32":
      return [...new Int32Array(buffer)];
    case "int16":
      return [...new Int16Array(buffer)];
    case "float16":
      return [...new Float16Array(buffer)];
    case "bfloat16":
      return [...new Uint16Array(buffer)].map((x) => new Float32Array(Uint32Array.of(x << 16).buffer)[0]);
    case "int8":
      return [...new Int8Array(buffer)];
    default:
      return [...new Uint8Array(buffer)];
  }
}

/** Asserts that `body` throws one sentence (no line break) that matches. */
export function throwsSentence(body: () => unknown, pattern: RegExp): void {
  assert.throws(body, (error: unknown) => {
    assert.ok(error instanceof Error, `not an Error: ${error}`);
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes("\n"), `more than one line: ${error.message}`);
    return true;
  });
}
