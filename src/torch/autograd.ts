/**
 * Grad mode, gradients, autocast.
 *
 * @module
 */

import { gpuNumber } from "./cuda.ts";
import { checkedDevice } from "./device.ts";
import { type DType, dtypeNumber } from "./dtype.ts";
import { check, native, nativeError, payload } from "./library.ts";
import { lookUp } from "./names.ts";
import { putArgument } from "./operator.ts";
import { synchronous } from "./scope.ts";
import { Tensor } from "./tensor.ts";

function withGradMode<T>(enabled: boolean, body: () => T): T {
  const before = check(native.stec_set_grad_mode(enabled ? 1 : 0), "set grad mode");
  try {
    return synchronous(body(), "a grad mode");
  } finally {
    native.stec_set_grad_mode(before);
  }
}

/** Runs a synchronous body without recording it for autograd. */
export function noGrad<T>(body: () => T): T {
  return withGradMode(false, body);
}

/** Runs a synchronous body that autograd follows, inside `noGrad` too. */
export function enableGrad<T>(body: () => T): T {
  return withGradMode(true, body);
}

/**
 * The gradients of `outputs` with respect to `inputs`, without touching any `grad`.
 *
 * @param options.gradients the incoming gradient of each output; may be left out where all are scalars
 * @param options.allowUnused whether an input that no output depends on gives null instead of an error
 */
export function gradients(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  options: {
    gradients?: readonly Tensor[];
    retainGraph?: boolean;
    createGraph?: boolean;
    allowUnused?: boolean;
  } = {},
): (Tensor | null)[] {
  const { createGraph = false, retainGraph = createGraph, allowUnused = false } = options;
  let used = putArgument(0, outputs, 0);
  used = putArgument(1, inputs, used);
  putArgument(2, options.gradients ?? null, used);
  const count = check(
    native.stec_gradients(retainGraph ? 1 : 0, createGraph ? 1 : 0, allowUnused ? 1 : 0),
    "gradients",
  );
  return Array.from(payload.slice(0, count), (handle) => handle === 0 ? null : new Tensor(handle));
}

const DEVICE_TYPES = { cpu: 0, cuda: 1 } as const;

/**
 * Runs a synchronous body with autocast: convolutions and matrix products work in `dtype`, reductions in float32, as in
 * `torch.autocast`; null switches it off inside another.
 *
 * @param device `cpu`, `cuda` or `cuda:N`
 */
export function autocast<T>(device: string, dtype: DType | null, body: () => T): T {
  const isGpu = gpuNumber(checkedDevice(device)) !== null;
  const type = lookUp(DEVICE_TYPES, isGpu ? "cuda" : device, "device");
  const before = native.stec_set_autocast(type, dtype === null ? -1 : dtypeNumber(dtype));
  if (before === -2) throw nativeError("autocast");
  try {
    return synchronous(body(), "autocast");
  } finally {
    native.stec_set_autocast(type, before);
  }
}
