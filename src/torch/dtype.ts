/**
 * The element types of tensors.
 *
 * @module
 */

import { lookUp } from "./names.ts";

/** libtorch's number of each element type (c10::ScalarType). */
export const DTYPE_NUMBERS = {
  uint8: 0,
  int8: 1,
  int16: 2,
  int32: 3,
  int64: 4,
  float16: 5,
  float32: 6,
  float64: 7,
  complex64: 9,
  complex128: 10,
  bool: 11,
  bfloat16: 15,
  uint16: 27,
  uint32: 28,
  uint64: 29,
} as const;

/** The name of an element type. */
export type DType = keyof typeof DTYPE_NUMBERS;

const NAMES = new Map<number, DType>(
  Object.entries(DTYPE_NUMBERS).map(([name, number]) => [number, name as DType]),
);

/**
 * libtorch's number of an element type.
 *
 * @throws {TypeError} if there is no such type
 */
export function dtypeNumber(dtype: DType): number {
  return lookUp(DTYPE_NUMBERS, dtype, "dtype");
}

/** The name for libtorch's number of an element type. */
export function dtypeName(number: number): DType {
  const name = NAMES.get(number);
  if (name === undefined) throw new TypeError(`Cannot name dtype ${number}: this library does not use it`);
  return name;
}

/** Whether the type holds fractions. */
export function isFloating(dtype: DType): boolean {
  return dtype === "float32" || dtype === "float64" || dtype === "float16" || dtype === "bfloat16";
}

/** Whether the type holds complex numbers. */
export function isComplex(dtype: DType): boolean {
  return dtype === "complex64" || dtype === "complex128";
}

/**
 * The typed arrays that tensors are made from and read into. 16-bit floats and
 * booleans travel as raw bits, complex numbers as pairs of a real and an imaginary part.
 */
export type TypedArray =
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/** The element type that a typed array has unless another is asked for. */
export function dtypeOf(array: TypedArray): DType {
  if (array instanceof Float32Array) return "float32";
  if (array instanceof Float64Array) return "float64";
  if (array instanceof Uint8Array) return "uint8";
  if (array instanceof BigInt64Array) return "int64";
  if (array instanceof BigUint64Array) return "uint64";
  if (array instanceof Int32Array) return "int32";
  if (array instanceof Uint32Array) return "uint32";
  if (array instanceof Int16Array) return "int16";
  if (array instanceof Int8Array) return "int8";
  if (array instanceof Uint16Array) {
    throw new TypeError("Cannot tell the dtype of a Uint16Array: say uint16, float16 or bfloat16");
  }
  const type = Object.prototype.toString.call(array).slice("[object ".length, -1);
  throw new TypeError(`Cannot make a tensor from ${type}: no dtype has such elements`);
}

/**
 * A typed array of `length` elements that can hold elements of the type. Booleans are bytes, 16-bit floats raw bits, complex
 * numbers two elements each.
 */
export function typedArrayFor(dtype: DType, length: number): TypedArray {
  switch (dtype) {
    case "float32":
      return new Float32Array(length);
    case "float64":
      return new Float64Array(length);
    case "uint8":
    case "bool":
      return new Uint8Array(length);
    case "int64":
      return new BigInt64Array(length);
    case "int32":
      return new Int32Array(length);
    case "int16":
      return new Int16Array(length);
    case "int8":
      return new Int8Array(length);
    case "uint16":
    case "float16":
    case "bfloat16":
      return new Uint16Array(length);
    case "uint32":
      return new Uint32Array(length);
    case "uint64":
      return new BigUint64Array(length);
    case "complex64":
      return new Float32Array(2 * length);
    case "complex128":
      return new Float64Array(2 * length);
  }
}
