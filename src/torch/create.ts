/**
 * Making tensors.
 *
 * @module
 */

import { checkedDevice } from "./device.ts";
import { type DType, dtypeNumber, dtypeOf, type TypedArray } from "./dtype.ts";
import { native, nativeError, PAYLOAD, payload } from "./library.ts";
import { call } from "./operator.ts";
import { Tensor } from "./tensor.ts";

/** The element type and place of a new tensor. */
export interface TensorOptions {
  /** float32 unless the data say otherwise. */
  readonly dtype?: DType;
  /** `cpu` unless given. */
  readonly device?: string;
}

/** Nested lists of numbers, as deep as the tensor has dimensions. */
export type Nested = number | readonly Nested[];

/** The most dimensions that libtorch's operators work with. */
const MAX_DIMENSIONS = 64;

const borrowed = new Map<number, TypedArray>();
let nextTicket = 1;

function putShape(shape: readonly number[]): void {
  if (shape.length > PAYLOAD) throw new RangeError("Cannot make a tensor: it has too many dimensions");
  payload.set(shape);
}

function bytesOf(array: TypedArray): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/**
 * A CPU tensor with a copy of a typed array's elements.
 *
 * @param shape sizes whose product is the array's length; one dimension if left out
 * @param dtype the array's own type if left out; raw bits of float16 or bfloat16 come in a Uint16Array, bool in bytes
 */
export function fromTypedArray(
  array: TypedArray,
  shape: readonly number[] = [array.length],
  dtype: DType = dtypeOf(array),
): Tensor {
  putShape(shape);
  const handle = native.stec_tensor_from_bytes(
    bytesOf(array),
    array.byteLength,
    dtypeNumber(dtype),
    shape.length,
  );
  if (handle < 0) throw nativeError("fromTypedArray");
  return new Tensor(handle);
}

/**
 * A CPU tensor that uses a typed array's own memory: writing to one changes the other. The array is kept alive as
 * long as libtorch uses it.
 */
export function borrowTypedArray(
  array: TypedArray,
  shape: readonly number[] = [array.length],
  dtype: DType = dtypeOf(array),
): Tensor {
  returnBorrowed();
  putShape(shape);
  const ticket = nextTicket++;
  const handle = native.stec_tensor_borrow_bytes(
    bytesOf(array),
    array.byteLength,
    dtypeNumber(dtype),
    shape.length,
    ticket,
  );
  if (handle < 0) throw nativeError("borrowTypedArray");
  borrowed.set(ticket, array);
  return new Tensor(handle);
}

/**
 * A tensor on a device with a copy of a typed array's elements. The copy to a GPU goes through page-locked memory, so that
 * neither waits for the other.
 */
export function upload(
  array: TypedArray,
  device: string,
  shape: readonly number[] = [array.length],
  dtype: DType = dtypeOf(array),
): Tensor {
  if (!device.startsWith("cuda")) return moved(fromTypedArray(array, shape, dtype), undefined, device);
  using pageable = borrowTypedArray(array, shape, dtype);
  return send(pageable, device);
}

/** A copy of a CPU tensor on a device, by way of page-locked memory if that is a GPU; else, on the CPU, the tensor itself. */
export function send(tensor: Tensor, device: string): Tensor {
  if (!device.startsWith("cuda")) return tensor.to({ device });
  checkedDevice(device);
  using pinned = tensor.pinMemory();
  return pinned.to({ device, nonBlocking: true });
}

/** Lets go of the arrays that libtorch no longer uses and returns how many it still does. */
export function returnBorrowed(): number {
  if (borrowed.size === 0) return 0;
  const count = native.stec_released();
  for (let i = 0; i < count; i++) borrowed.delete(payload[i]);
  return borrowed.size;
}

/** Whether this is a list, not a number. Throws for whatever else callers without types may bring. */
function isList(data: Nested): data is readonly Nested[] {
  if (typeof data === "number") return false;
  if (typeof data === "object" && data !== null && "length" in data) return true;
  const what = data === null ? "null" : `a value of type ${typeof data}`;
  const hint = typeof data === "boolean" ? ', and with dtype "bool" 1 is true and 0 false' : "";
  throw new TypeError(`Cannot make a tensor from ${what}: its elements must be numbers${hint}`);
}

function shapeOf(data: Nested): number[] {
  const shape: number[] = [];
  for (let level: Nested = data; isList(level); level = level[0]) {
    if (shape.push(level.length) > MAX_DIMENSIONS) {
      throw new RangeError(`Cannot make a tensor: it has more than ${MAX_DIMENSIONS} dimensions`);
    }
    if (level.length === 0) break;
  }
  return shape;
}

function flattenInto(data: Nested, shape: readonly number[], depth: number, into: number[]): void {
  const list = isList(data);
  if (list === (depth === shape.length)) {
    throw new RangeError("Cannot make a tensor: its nested lists differ in depth");
  }
  if (!list) {
    into.push(data);
    return;
  }
  if (data.length !== shape[depth]) {
    throw new RangeError(
      `Cannot make a tensor: its nested lists differ in length, ${data.length} where ${
        shape[depth]
      } came before`,
    );
  }
  for (const item of data) flattenInto(item, shape, depth + 1, into);
}

/**
 * A tensor from a number or nested lists of numbers, float32 unless another dtype is asked for.
 *
 * @example
 * ```ts
 * import { tensor } from "@stec/stec";
 * using matrix = tensor([[1, 2], [3, 4]], { dtype: "float64" });
 * ```
 */
export function tensor(data: Nested, options: TensorOptions = {}): Tensor {
  const { dtype = "float32", device } = options;
  const shape = shapeOf(data), numbers: number[] = [];
  flattenInto(data, shape, 0, numbers);
  if (dtype === "int64") {
    const fraction = numbers.find((number) => !Number.isInteger(number));
    if (fraction !== undefined) {
      throw new RangeError(`Cannot make an int64 tensor: ${fraction} is no whole number`);
    }
    return moved(fromTypedArray(BigInt64Array.from(numbers, BigInt), shape), undefined, device);
  }
  return moved(fromTypedArray(Float64Array.from(numbers), shape), dtype, device);
}

function moved(source: Tensor, dtype: DType | undefined, device: string | undefined): Tensor {
  if ((dtype === undefined || dtype === source.dtype) && (device === undefined || device === "cpu")) {
    return source;
  }
  using _source = source;
  if (!device?.startsWith("cuda")) return source.to({ dtype, device });
  // Converted here and sent from page-locked memory, so that the GPU is not waited for.
  using converted = source.to({ dtype });
  return send(converted, device);
}

function create(
  name: string,
  options: TensorOptions,
  ...leading: readonly (readonly number[] | number)[]
): Tensor {
  const { dtype = "float32", device = "cpu" } = options;
  return call(name, ...leading, dtypeNumber(dtype), undefined, checkedDevice(device));
}

/** A tensor of zeros. */
export function zeros(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return create("aten::zeros", options, shape);
}
/** A tensor of ones. */
export function ones(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return create("aten::ones", options, shape);
}
/** A tensor whose elements are not initialised. */
export function empty(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return create("aten::empty.memory_format", options, shape);
}
/** A tensor whose elements are not initialised and lie at these distances of each other. */
export function emptyStrided(
  shape: readonly number[],
  strides: readonly number[],
  options: TensorOptions = {},
): Tensor {
  return create("aten::empty_strided", options, shape, strides);
}
/** A tensor of one value. */
export function full(shape: readonly number[], value: number, options: TensorOptions = {}): Tensor {
  return create("aten::full", options, shape, value);
}
/** The whole numbers from `start` to `end` (exclusive), int64 unless another dtype is asked for. */
export function arange(start: number, end: number, options: TensorOptions = {}): Tensor {
  return create("aten::arange.start", { dtype: "int64", ...options }, start, end);
}
/** A tensor of zeros with the shape, dtype and device of another. */
export function zerosLike(like: Tensor): Tensor {
  return call("aten::zeros_like", like);
}
