/**
 * What a run computes on, and in which precision.
 *
 * @module
 */

import type { Precision } from "../config/settings.ts";
import type { DType } from "../torch/dtype.ts";

/**
 * The device for the number of GPUs that was asked for.
 *
 * @throws {Error} if there are not so many
 */
export function resolveDevice(gpus: number | "auto"): string {
  if (gpus === "auto" || gpus === 0) return "cpu";
  throw new Error(`Cannot use ${gpus} GPUs: none was found; --gpus 0 computes on the CPU`);
}

/** The 16-bit type that convolutions work in, null for float32. On a CPU float32 unless another is asked for. */
export function resolvePrecision(precision: Precision, device: string): DType | null {
  switch (precision) {
    case "auto":
      return device === "cpu" ? null : "bfloat16";
    case "fp32":
      return null;
    case "bf16":
      return "bfloat16";
    case "fp16":
      if (device === "cpu") throw new Error("Cannot train in fp16 on the CPU: use --precision bf16 or fp32");
      return "float16";
  }
}
