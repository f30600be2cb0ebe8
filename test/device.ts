/**
 * Tensors for tests, on the device that STEC_TEST_DEVICE names, else on the CPU: most tests hold on any.
 *
 * @module
 */

import { resolveDevice } from "../src/machine/machine.ts";
import * as create from "../src/torch/create.ts";
import type { DType, TypedArray } from "../src/torch/dtype.ts";
import type { Tensor } from "../src/torch/tensor.ts";

/** The device that is tested. */
export const DEVICE: string = Deno.env.get("STEC_TEST_DEVICE") ?? "cpu";

// Loads CUDA before anything is computed.
if (DEVICE.startsWith("cuda")) resolveDevice(1);

const here = { device: DEVICE } as const;

/** As in create.ts, but here. */
export function tensor(data: create.Nested, options: create.TensorOptions = {}): Tensor {
  return create.tensor(data, { ...here, ...options });
}
/** As in create.ts, but here. */
export function fromTypedArray(array: TypedArray, shape?: readonly number[], dtype?: DType): Tensor {
  return create.upload(array, DEVICE, shape, dtype);
}
/** As in create.ts, but here. */
export function zeros(shape: readonly number[], options: create.TensorOptions = {}): Tensor {
  return create.zeros(shape, { ...here, ...options });
}
/** As in create.ts, but here. */
export function ones(shape: readonly number[], options: create.TensorOptions = {}): Tensor {
  return create.ones(shape, { ...here, ...options });
}
/** As in create.ts, but here. */
export function empty(shape: readonly number[], options: create.TensorOptions = {}): Tensor {
  return create.empty(shape, { ...here, ...options });
}
/** As in create.ts, but here. */
export function full(shape: readonly number[], value: number, options: create.TensorOptions = {}): Tensor {
  return create.full(shape, value, { ...here, ...options });
}
/** As in create.ts, but here. */
export function arange(start: number, end: number, options: create.TensorOptions = {}): Tensor {
  return create.arange(start, end, { ...here, ...options });
}
