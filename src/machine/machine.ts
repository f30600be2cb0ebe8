/**
 * What a run computes on, and in which precision.
 *
 * @module
 */

import type { Precision } from "../config/settings.ts";
import { UsageError } from "../base/errors.ts";
import {
  cudaDeviceCount,
  cudaMemory,
  describeCudaDevice,
  gpuNumber,
  setCudaDevice,
  setCudnnBenchmark,
  setTf32,
} from "../torch/cuda.ts";
import { wantsCuda } from "../setup/environment.ts";
import type { DType } from "../torch/dtype.ts";
import { manifest } from "../torch/library.ts";
import type { MemoryFormat } from "../torch/tensor.ts";
import type { Metrics } from "../training/log.ts";
import type { Learner } from "../training/step.ts";

/**
 * The device for the number of GPUs that was asked for, made ready: cuDNN tries what is fastest, TF32 is off. Call it
 * before anything is computed, for it loads CUDA.
 *
 * @param localRank this process among those of the machine: each takes a GPU of its own
 * @throws {Error} if there are not so many
 */
export function resolveDevice(gpus: number | "auto", localRank: number = 0): string {
  if (gpus === 0) return "cpu";
  const found = cudaDeviceCount({ sure: gpus !== "auto" });
  if (found === 0 && gpus === "auto") return "cpu";
  if (gpus !== "auto" && gpus > found) {
    const why = found > 0 ? `there are ${found}` : manifest.cudaMissing ?? "none was found";
    throw new Error(`Cannot use ${gpus} GPUs: ${why}; --gpus 0 computes on the CPU`);
  }
  // A launcher may show each process nothing but its own GPU.
  const number = found === 1 ? 0 : localRank;
  if (number >= found) {
    throw new Error(
      `Cannot give process ${localRank} of this machine a GPU of its own: there are ${found}; start as many processes`,
    );
  }
  const device = `cuda:${number}`;
  setCudaDevice(device);
  setCudnnBenchmark(true);
  setTf32(false);
  return device;
}

/** What is known of the GPUs when a device has been chosen. */
export interface DeviceChoice {
  /** The number of GPUs that was asked for. */
  readonly gpus: number | "auto";
  /** The device that was chosen. */
  readonly device: string;
  /** How many GPUs libtorch finds. */
  readonly found: number;
  /** Whether NVIDIA's driver is installed. */
  readonly driver: boolean;
  /** Why there is no library for CUDA; else `null`. */
  readonly missing: string | null;
  /** Whether this process trains with others. */
  readonly shared: boolean;
}

/** What the user should know about the device that was chosen without being named. */
export function notesOnDevice({ gpus, device, found, driver, missing, shared }: DeviceChoice): string[] {
  if (gpus !== "auto") return [];
  if (device === "cpu") {
    if (!driver) return [];
    const reason = missing ?? "libtorch finds none that works with this driver";
    return [`Training on the CPU: NVIDIA's driver is installed, but no GPU can be used (${reason})`];
  }
  if (found < 2 || shared) return [];
  return [`Using 1 of ${found} GPUs; --gpus ${found} trains on all of them`];
}

/** The same about this machine. */
export function deviceNotes(gpus: number | "auto", device: string, shared: boolean): string[] {
  const found = cudaDeviceCount(), driver = wantsCuda(Deno.env), missing = manifest.cudaMissing;
  return notesOnDevice({ gpus, device, found, driver, missing, shared });
}

/**
 * Lets a GPU round float32 to TF32 where that is asked for.
 *
 * @throws {UsageError} on the CPU
 */
export function allowTf32(tf32: boolean, device: string): void {
  if (!tf32) return;
  if (gpuNumber(device) === null) {
    throw new UsageError("Cannot use --tf32 on the CPU: only NVIDIA's GPUs have TF32");
  }
  setTf32(true);
}

/**
 * The 16-bit type that convolutions work in, null for float32. Unless another is asked for, float32 on a CPU, on a GPU
 * bfloat16 where it has that and else float16.
 */
export function resolvePrecision(precision: Precision, device: string): DType | null {
  switch (precision) {
    case "auto":
      if (gpuNumber(device) === null) return null;
      return describeCudaDevice(device).bfloat16 ? "bfloat16" : "float16";
    case "fp32":
      return null;
    case "bf16":
      return "bfloat16";
    case "fp16":
      if (device === "cpu") throw new Error("Cannot train in fp16 on the CPU: use --precision bf16 or fp32");
      return "float16";
  }
}

/** The order in memory of weights, which activations follow: CPUs and GPUs convolve fastest with the channels last. */
export const LAYOUT: MemoryFormat = "channels_last";

/** Metrics of the machine that the log adds: a GPU's memory in bytes, and what the gradient scaler does. */
export function machineMetrics({ device, scaler }: Pick<Learner, "device" | "scaler">): Metrics {
  const metrics: Record<string, number> = {};
  if (gpuNumber(device) !== null) {
    const memory = cudaMemory(device);
    metrics.gpu_memory = memory.allocated;
    metrics.gpu_memory_peak = memory.peakAllocated;
    metrics.gpu_memory_reserved = memory.reserved;
  }
  if (scaler !== undefined) {
    metrics.gradient_scale = scaler.state().scale;
    metrics.skipped_steps = scaler.skipped;
  }
  return metrics;
}
