/**
 * The tensor: a handle to a libtorch tensor with the operations that this project uses, under PyTorch's names.
 *
 * Every method that returns a new tensor hands it to the open `scope` (or, outside of one, to the caller, who disposes of
 * it). Methods whose name ends in an underscore change the tensor itself and return it. Shapes broadcast and dtypes are
 * promoted as in PyTorch. What libtorch refuses becomes a `TorchError` that names the operation and the shapes.
 *
 * @module
 */

import { checkedDevice } from "./device.ts";
import { type DType, dtypeName, dtypeNumber, isComplex, type TypedArray, typedArrayFor } from "./dtype.ts";
import { check, FREED, native, nativeError, payload } from "./library.ts";
import { lookUp } from "./names.ts";
import { call, callAll, callInPlace, callList } from "./operator.ts";
import type { Generator } from "./random.ts";
import { track, untrack, watch } from "./scope.ts";

/** What an arithmetic operation takes on its right-hand side. */
export type Operand = Tensor | number;

/** How 4-D activations lie in memory: NCHW or NHWC order. */
export type MemoryFormat = "contiguous" | "channels_last";

const MEMORY_FORMATS = { contiguous: 0, channels_last: 2 } as const;
const DEVICE_TYPES: Readonly<Record<number, string>> = { 0: "cpu", 1: "cuda", 14: "meta" };

function memoryFormatNumber(format: MemoryFormat): number {
  return lookUp(MEMORY_FORMATS, format, "memory format");
}

/** How a tensor is converted. */
export interface ToOptions {
  /** The element type. */
  readonly dtype?: DType;
  /** `cpu`, `cuda` or `cuda:1`. */
  readonly device?: string;
  /** The order in memory, of 4-D tensors. */
  readonly memoryFormat?: MemoryFormat;
  /** Whether a copy from pinned memory may overlap with what follows. */
  readonly nonBlocking?: boolean;
}

interface Info {
  readonly dtype: number;
  readonly device: string;
  readonly requiresGrad: boolean;
  readonly isLeaf: boolean;
  readonly isContiguous: boolean;
  readonly isChannelsLast: boolean;
  readonly elements: number;
  readonly elementSize: number;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** A multi-dimensional array in native memory that autograd can follow. */
export class Tensor implements Disposable {
  /** The shim's handle, `FREED` once freed. */
  handle: number;
  /** Whether the scope that the tensor belongs to frees it. Set by `scope.ts` alone. */
  scoped = false;
  /** Whether the garbage collector frees it if nobody else does. Set by `scope.ts` alone. */
  watched = false;
  #shape: readonly number[] | undefined;
  #dtype: DType | undefined;
  #device: string | undefined;

  /** Wraps a handle that the caller has just received from the shim. Use `tensor`, `zeros`, ... to make tensors. */
  constructor(handle: number) {
    this.handle = handle;
    track(this);
  }

  /** Frees the tensor; what shares its memory, or autograd, keeps what it needs. */
  [Symbol.dispose](): void {
    if (this.handle === FREED) return;
    untrack(this);
    check(native.stec_tensor_free(this.forget()), "free");
  }

  /** Gives up the handle without freeing it, for whoever frees many at once. */
  forget(): number {
    const handle = this.handle;
    this.handle = FREED;
    return handle;
  }

  /** Takes the place of another tensor: frees what this one was, and takes over the other's handle. */
  become(other: Tensor): this {
    if (other === this) return this;
    if (other.handle === FREED) throw new Error("Cannot take the place of a tensor that was freed");
    const alive = this.handle !== FREED, { scoped } = this;
    this[Symbol.dispose]();
    untrack(other);
    this.handle = other.forget();
    this.#shape = this.#dtype = this.#device = undefined;
    // The scope that looks after this tensor goes on doing so; the garbage collector knows the old handle only.
    if (!alive) track(this);
    else if (!scoped) watch(this);
    return this;
  }

  #info(): Info {
    const dimensions = check(native.stec_tensor_info(this.handle), "describe a tensor");
    return {
      dtype: payload[0],
      device: `${DEVICE_TYPES[payload[1]] ?? "device"}${payload[2] < 0 ? "" : `:${payload[2]}`}`,
      requiresGrad: payload[3] === 1,
      isLeaf: payload[4] === 1,
      isContiguous: payload[5] === 1,
      isChannelsLast: payload[6] === 1,
      elements: payload[7],
      elementSize: payload[8],
      offset: payload[9],
      shape: Array.from(payload.subarray(10, 10 + dimensions)),
      strides: Array.from(payload.subarray(10 + dimensions, 10 + 2 * dimensions)),
    };
  }

  /** The size of each dimension. */
  get shape(): readonly number[] {
    return this.#shape ??= this.#info().shape;
  }
  /** The element type. */
  get dtype(): DType {
    return this.#dtype ??= dtypeName(this.#info().dtype);
  }
  /** Where the elements lie: `cpu`, `cuda:0`, ... */
  get device(): string {
    return this.#device ??= this.#info().device;
  }
  /** The number of dimensions. */
  get ndim(): number {
    return this.shape.length;
  }
  /** The number of elements. */
  get numel(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }
  /** The bytes of all elements. */
  get nbytes(): number {
    const info = this.#info();
    return info.elements * info.elementSize;
  }
  /** The distance of neighbouring elements along each dimension, in elements. */
  get strides(): readonly number[] {
    return this.#info().strides;
  }
  /** Where the first element lies in the storage, in elements. */
  get storageOffset(): number {
    return this.#info().offset;
  }
  /** Whether the elements lie row-major without gaps. */
  get isContiguous(): boolean {
    return this.#info().isContiguous;
  }
  /** Whether a 4-D tensor lies in NHWC order without gaps. */
  get isChannelsLast(): boolean {
    return this.#info().isChannelsLast;
  }
  /** Whether autograd follows this tensor. */
  get requiresGrad(): boolean {
    return this.#info().requiresGrad;
  }
  /** Whether this tensor was made by the user, not by an operation that autograd follows. */
  get isLeaf(): boolean {
    return this.#info().isLeaf;
  }

  /** For the console: dtype, shape and device. */
  toString(): string {
    if (this.handle === FREED) return "Tensor(freed)";
    return `Tensor(${this.dtype}[${this.shape.join(", ")}], ${this.device})`;
  }
  /** For `console.log`. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  // ---- to JavaScript ----

  /**
   * The only element as a number. Waits for the device.
   *
   * @throws {TypeError} for complex tensors
   */
  item(): number {
    if (isComplex(this.dtype)) {
      throw new TypeError(`Cannot turn ${this.dtype} into a number: use viewAsReal()`);
    }
    const [value] = callAll("aten::item", this);
    if (typeof value === "boolean") return value ? 1 : 0;
    return value as number;
  }
  /** A copy of the elements, row-major. 16-bit floats come as raw bits, booleans as bytes. Waits for the device. */
  toTypedArray(): TypedArray {
    const array = typedArrayFor(this.dtype, this.numel);
    this.copyTo(array);
    return array;
  }
  /** Copies the elements, row-major, into an array of exactly as many bytes. Waits for the device. */
  copyTo(array: TypedArray | Uint8Array): void {
    const bytes = new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
    check(native.stec_tensor_copy_bytes(this.handle, bytes, bytes.length), "copy a tensor out");
  }
  /** Overwrites bytes of the elements as they lie in memory, from `offset` on. For CPU tensors without gaps. */
  putBytes(bytes: Uint8Array<ArrayBuffer>, offset = 0): void {
    check(native.stec_tensor_put_bytes(this.handle, offset, bytes, bytes.length), "write into a tensor");
  }
  /**
   * The elements as numbers, row-major, whatever the dtype; int64 beyond 2^53 is rounded. Waits for the device.
   *
   * @throws {TypeError} for complex tensors, which `viewAsReal` turns into pairs
   */
  toNumbers(): number[] {
    if (isComplex(this.dtype)) {
      throw new TypeError(
        `Cannot turn ${this.dtype} into numbers: use viewAsReal() for real and imaginary parts`,
      );
    }
    if (this.dtype === "float16" || this.dtype === "bfloat16") {
      using wide = this.to({ dtype: "float32" });
      return wide.toNumbers();
    }
    return Array.from(this.toTypedArray() as Float64Array | BigInt64Array, Number);
  }
  /** A complex tensor's real and imaginary parts, as a last dimension of 2 that shares its memory. */
  viewAsReal(): Tensor {
    return call("aten::view_as_real", this);
  }
  /** The complex tensor whose parts are this one's last dimension, which is of size 2; it shares its memory. */
  viewAsComplex(): Tensor {
    return call("aten::view_as_complex", this);
  }
  // ---- autograd ----

  /** Sets whether autograd follows this leaf and returns it. */
  requiresGrad_(value = true): this {
    check(native.stec_set_requires_grad(this.handle, value ? 1 : 0), "requiresGrad_");
    return this;
  }
  /** Accumulates gradients of this tensor into the leaves it was made from; `gradient` may be left out for a scalar. */
  backward(gradient?: Tensor, options: { retainGraph?: boolean; createGraph?: boolean } = {}): void {
    const { createGraph = false, retainGraph = createGraph } = options;
    check(
      native.stec_backward(this.handle, gradient?.handle ?? 0, retainGraph ? 1 : 0, createGraph ? 1 : 0),
      "backward",
    );
  }
  /** The accumulated gradient as a new handle, or null. */
  get grad(): Tensor | null {
    const handle = native.stec_gradient(this.handle);
    if (handle < 0) throw nativeError("read a gradient");
    return handle === 0 ? null : new Tensor(handle);
  }
  /** Replaces the accumulated gradient; null removes it. */
  set grad(gradient: Tensor | null) {
    check(native.stec_set_gradient(this.handle, gradient?.handle ?? 0), "replace a gradient");
  }
  /** The same elements, cut off from autograd. */
  detach(): Tensor {
    return call("aten::detach", this);
  }

  // ---- conversion ----

  /** Converts dtype, device and memory format; returns a new handle to the same tensor if there is nothing to do. */
  to(options: ToOptions): Tensor {
    const { dtype, device, memoryFormat, nonBlocking = false } = options;
    return call(
      "aten::to.dtype_layout",
      this,
      dtype === undefined ? undefined : dtypeNumber(dtype),
      undefined,
      device === undefined ? undefined : checkedDevice(device),
      undefined,
      nonBlocking,
      false,
      memoryFormat === undefined ? undefined : memoryFormatNumber(memoryFormat),
    );
  }
  /** As float32. */
  float(): Tensor {
    return this.to({ dtype: "float32" });
  }
  /** As float64. */
  double(): Tensor {
    return this.to({ dtype: "float64" });
  }
  /** A copy with memory of its own. */
  clone(): Tensor {
    return call("aten::clone", this);
  }
  /** The same elements without gaps, in the order of the memory format. */
  contiguous(memoryFormat: MemoryFormat = "contiguous"): Tensor {
    return call("aten::contiguous", this, memoryFormatNumber(memoryFormat));
  }
  /** A copy in page-locked memory, from which a GPU copies asynchronously. */
  pinMemory(): Tensor {
    return call("aten::pin_memory", this);
  }

  // ---- shape ----

  /** The same elements in another shape; one size may be -1. Shares memory where it can. */
  reshape(...shape: readonly number[]): Tensor {
    return call("aten::reshape", this, shape);
  }
  /** Dimensions `start` to `end` as one. */
  flatten(start = 0, end = -1): Tensor {
    return call("aten::flatten.using_ints", this, start, end);
  }
  /** A view with a dimension of size 1 inserted. */
  unsqueeze(dim: number): Tensor {
    return call("aten::unsqueeze", this, dim);
  }
  /** A view without dimension `dim`, if its size is 1. */
  squeeze(dim: number): Tensor {
    return call("aten::squeeze.dim", this, dim);
  }
  /** A view in which sizes of 1 are repeated; -1 leaves a size as it is. */
  expand(...shape: readonly number[]): Tensor {
    return call("aten::expand", this, shape);
  }
  /** A view with the dimensions in another order. */
  permute(...dims: readonly number[]): Tensor {
    return call("aten::permute", this, dims);
  }
  /** A view with two dimensions exchanged. */
  transpose(dim0 = -2, dim1 = -1): Tensor {
    return call("aten::transpose.int", this, dim0, dim1);
  }
  /** A view of the elements `start` to `end` (exclusive) along a dimension, every `step`-th. */
  slice(dim: number, start: number | null = null, end: number | null = null, step = 1): Tensor {
    return call("aten::slice.Tensor", this, dim, start, end, step);
  }
  /** A view of one position along a dimension, without that dimension. */
  select(dim: number, index: number): Tensor {
    return call("aten::select.int", this, dim, index);
  }
  /** Views of the positions along a dimension. */
  unbind(dim = 0): Tensor[] {
    return callList("aten::unbind.int", this, dim);
  }
  /** Views of equal parts along a dimension; the last may be smaller. */
  chunk(chunks: number, dim = 0): Tensor[] {
    return callList("aten::chunk", this, chunks, dim);
  }
  /** The rows (along `dim`) that a 1-D int tensor names. */
  indexSelect(dim: number, index: Tensor): Tensor {
    return call("aten::index_select", this, dim, index);
  }
  /** Elements picked by index tensors, one a dimension; null takes the whole dimension. */
  index(indices: readonly (Tensor | null)[]): Tensor {
    return call("aten::index.Tensor", this, indices);
  }
  /** Picks along `dim` where `index`, of the result's shape, says. */
  gather(dim: number, index: Tensor): Tensor {
    return call("aten::gather", this, dim, index);
  }
  /** A copy in which the elements that `index` names along `dim` are a value. */
  scatter(dim: number, index: Tensor, value: number): Tensor {
    return call("aten::scatter.value", this, dim, index, value);
  }
  /** Reversed along the dimensions. */
  flip(...dims: readonly number[]): Tensor {
    return call("aten::flip", this, dims);
  }

  // ---- arithmetic ----

  /** this + alpha * other. */
  add(other: Operand, alpha = 1): Tensor {
    return call("aten::add.Tensor", this, other, alpha);
  }
  /** this - alpha * other. */
  sub(other: Operand, alpha = 1): Tensor {
    return call("aten::sub.Tensor", this, other, alpha);
  }
  /** Element by element product. */
  mul(other: Operand): Tensor {
    return call("aten::mul.Tensor", this, other);
  }
  /** Element by element quotient; of integers, a float. */
  div(other: Operand): Tensor {
    return call("aten::div.Tensor", this, other);
  }
  /** Remainder with the sign of the divisor. */
  remainder(other: number): Tensor {
    return call("aten::remainder.Scalar", this, other);
  }
  /** -this. */
  neg(): Tensor {
    return call("aten::neg", this);
  }
  /** Each element to a power. */
  pow(exponent: number): Tensor {
    return call("aten::pow.Tensor_Scalar", this, exponent);
  }
  /** e to each element. */
  exp(): Tensor {
    return call("aten::exp", this);
  }
  /** Natural logarithm. */
  log(): Tensor {
    return call("aten::log", this);
  }
  /** Square root. */
  sqrt(): Tensor {
    return call("aten::sqrt", this);
  }
  /** 1 / sqrt. */
  rsqrt(): Tensor {
    return call("aten::rsqrt", this);
  }
  /** Absolute value. */
  abs(): Tensor {
    return call("aten::abs", this);
  }
  /** The next lower whole number. */
  floor(): Tensor {
    return call("aten::floor", this);
  }
  /** The nearest whole number, halves to the even one. */
  round(): Tensor {
    return call("aten::round", this);
  }
  /** Each element kept within bounds; null leaves a side open. */
  clamp(min: number | null, max: number | null = null): Tensor {
    return call("aten::clamp", this, min, max);
  }
  /** max(this, 0). */
  relu(): Tensor {
    return call("aten::relu", this);
  }
  /** Element by element smaller value. */
  minimum(other: Tensor): Tensor {
    return call("aten::minimum", this, other);
  }
  /** Element by element larger value. */
  maximum(other: Tensor): Tensor {
    return call("aten::maximum", this, other);
  }
  /** Matrix product, batched and broadcast over leading dimensions. */
  matmul(other: Tensor): Tensor {
    return call("aten::matmul", this, other);
  }

  // ---- comparison ----

  /** Where equal, as bool. */
  eq(other: Operand): Tensor {
    return call(typeof other === "number" ? "aten::eq.Scalar" : "aten::eq.Tensor", this, other);
  }
  /** Where not equal, as bool. */
  ne(other: Operand): Tensor {
    return call(typeof other === "number" ? "aten::ne.Scalar" : "aten::ne.Tensor", this, other);
  }
  /** Where smaller, as bool. */
  lt(other: Operand): Tensor {
    return call(typeof other === "number" ? "aten::lt.Scalar" : "aten::lt.Tensor", this, other);
  }
  /** Where larger, as bool. */
  gt(other: Operand): Tensor {
    return call(typeof other === "number" ? "aten::gt.Scalar" : "aten::gt.Tensor", this, other);
  }
  /** Where larger or equal, as bool. */
  ge(other: Operand): Tensor {
    return call(typeof other === "number" ? "aten::ge.Scalar" : "aten::ge.Tensor", this, other);
  }
  /** Where smaller or equal, as bool. */
  le(other: Operand): Tensor {
    return call(typeof other === "number" ? "aten::le.Scalar" : "aten::le.Tensor", this, other);
  }
  /** Of a bool tensor: the opposite. */
  logicalNot(): Tensor {
    return call("aten::logical_not", this);
  }
  /** Of bool tensors: where both hold. */
  logicalAnd(other: Tensor): Tensor {
    return call("aten::logical_and", this, other);
  }
  /** Where finite, as bool. */
  isFinite(): Tensor {
    return call("aten::isfinite", this);
  }

  // ---- reduction ----

  /** Sum over the dimensions, or over all. */
  sum(dims?: readonly number[], keepDim = false): Tensor {
    return dims ? call("aten::sum.dim_IntList", this, dims, keepDim) : call("aten::sum", this);
  }
  /** Mean over the dimensions, or over all. */
  mean(dims?: readonly number[], keepDim = false): Tensor {
    return dims ? call("aten::mean.dim", this, dims, keepDim) : call("aten::mean", this);
  }
  /** Standard deviation over the dimensions, or over all; `correction` 1 divides by n - 1. */
  std(dims: readonly number[] | null = null, correction = 1, keepDim = false): Tensor {
    return call("aten::std.correction", this, dims, correction, keepDim);
  }
  /** Largest value over the dimensions; over none given, of all. */
  amax(dims: readonly number[] = [], keepDim = false): Tensor {
    return call("aten::amax", this, dims, keepDim);
  }
  /** Smallest value over the dimensions; over none given, of all. */
  amin(dims: readonly number[] = [], keepDim = false): Tensor {
    return call("aten::amin", this, dims, keepDim);
  }
  /** The position of the largest value along a dimension, as int64. */
  argmax(dim: number, keepDim = false): Tensor {
    return call("aten::argmax", this, dim, keepDim);
  }
  /** The k largest values along a dimension and their positions. */
  topk(k: number, dim = -1): [values: Tensor, indices: Tensor] {
    return callAll("aten::topk", this, k, dim) as [Tensor, Tensor];
  }
  /** The Euclidean norm of all elements. */
  norm(): Tensor {
    return call("aten::linalg_vector_norm", this);
  }
  /** Whether every element is true, as a bool tensor. */
  all(): Tensor {
    return call("aten::all", this);
  }
  /** Exponentials along a dimension, scaled to sum to one. */
  softmax(dim: number): Tensor {
    return call("aten::softmax.int", this, dim);
  }
  /** The logarithm of the softmax. */
  logSoftmax(dim: number): Tensor {
    return call("aten::log_softmax.int", this, dim);
  }

  // ---- in place ----

  /** this += alpha * other. */
  add_(other: Operand, alpha = 1): this {
    callInPlace("aten::add_.Tensor", this, other, alpha);
    return this;
  }
  /** this *= other. */
  mul_(other: Operand): this {
    callInPlace("aten::mul_.Tensor", this, other);
    return this;
  }
  /** this /= other. */
  div_(other: Operand): this {
    callInPlace("aten::div_.Tensor", this, other);
    return this;
  }
  /** Keeps each element within bounds. */
  clamp_(min: number | null, max: number | null = null): this {
    callInPlace("aten::clamp_", this, min, max);
    return this;
  }
  /** max(this, 0). */
  relu_(): this {
    callInPlace("aten::relu_", this);
    return this;
  }
  /** Copies the elements of another tensor, broadcast and converted. */
  copy_(source: Tensor, nonBlocking = false): this {
    callInPlace("aten::copy_", this, source, nonBlocking);
    return this;
  }
  /** Sets every element to zero. */
  zero_(): this {
    callInPlace("aten::zero_", this);
    return this;
  }
  /** Sets every element to a value. */
  fill_(value: number): this {
    callInPlace("aten::fill_.Scalar", this, value);
    return this;
  }
  /** Sets the elements where `mask` is true to a value. */
  maskedFill_(mask: Tensor, value: number): this {
    callInPlace("aten::masked_fill_.Scalar", this, mask, value);
    return this;
  }
  /** Replaces the rows (along `dim`) that `index` names. */
  indexCopy_(dim: number, index: Tensor, source: Tensor): this {
    callInPlace("aten::index_copy_", this, dim, index, source);
    return this;
  }
  /** Draws every element from a normal distribution. */
  normal_(mean = 0, std = 1, generator: Generator | null = null): this {
    callInPlace("aten::normal_", this, mean, std, generator);
    return this;
  }
  /** Draws every element uniformly from [low, high). */
  uniform_(low = 0, high = 1, generator: Generator | null = null): this {
    callInPlace("aten::uniform_", this, low, high, generator);
    return this;
  }
}
