/**
 * GPUs: which there are, their memory, and what they may do.
 *
 * Ask for a device before the first operator call, since libtorch decides then whether it knows CUDA.
 *
 * @module
 */

import { wantsCuda } from "../setup/environment.ts";
import { cuda } from "./cuda_library.ts";
import { check, manifest, readText } from "./library.ts";

/** The number of a device, 0 for `cuda` alone; null for one that is no GPU. */
export function gpuNumber(device: string): number | null {
  const match = /^cuda(?::(\d+))?$/.exec(device);
  return match && Number(match[1] ?? 0);
}

/** The library and the number of a GPU. */
function onGpu(device: string): [native: ReturnType<typeof cuda>, gpu: number] {
  const number = gpuNumber(device);
  if (number === null) throw new RangeError(`Cannot use ${device} as a GPU: wanted cuda or cuda:N`);
  return [cuda(), number];
}

/**
 * How many GPUs there are: 0 where libtorch is built for the CPU, or where there is no driver.
 *
 * @param options.sure whether to ask even where no driver is found in the usual places, which loads CUDA
 */
export function cudaDeviceCount(options: { sure?: boolean } = {}): number {
  if (manifest.cudaShim === null || !(options.sure || wantsCuda(Deno.env))) return 0;
  return check(cuda().stec_cuda_devices(), "count the GPUs");
}

/** What a GPU is. */
export interface CudaDevice {
  /** Its name, for example `NVIDIA A100-SXM4-80GB`. */
  readonly name: string;
  /** Its compute capability, for example [8, 0]. */
  readonly capability: readonly [major: number, minor: number];
  /** Its memory in bytes. */
  readonly memory: number;
  /** Its UUID, as hexadecimal digits. */
  readonly uuid: string;
  /** Its multiprocessors. */
  readonly multiprocessors: number;
  /** Whether it computes in bfloat16 itself, as GPUs do since capability 8.0. */
  readonly bfloat16: boolean;
}

/** Describes a GPU. */
export function describeCudaDevice(device: string): CudaDevice {
  const [native, gpu] = onGpu(device);
  const { major, minor, ...rest } = JSON.parse(
    readText((out, capacity) => check(native.stec_cuda_describe(gpu, out, capacity), "describe a GPU")),
  );
  return { ...rest, capability: [major, minor], bfloat16: major >= 8 };
}

/** Makes a GPU the one that `cuda` without a number means. */
export function setCudaDevice(device: string): void {
  const [native, gpu] = onGpu(device);
  check(native.stec_cuda_set_device(gpu), "choose a GPU");
}

/**
 * Sends what this thread computes to a queue of the GPU of its own from now on, which is what `CudaGraph` can record. Waits
 * for what the GPU was asked before.
 */
export function useOwnStream(device: string): void {
  const [native, gpu] = onGpu(device);
  check(native.stec_cuda_own_stream(gpu), "open a queue of a GPU");
}

/** Waits until a GPU has done all that it was asked to; on the CPU there is nothing to wait for. */
export function synchronize(device: string): void {
  if (device === "cpu") return;
  const [native, gpu] = onGpu(device);
  check(native.stec_cuda_synchronize(gpu), "wait for a GPU");
}

/** The memory that libtorch uses on a GPU, in bytes. */
export interface CudaMemory {
  /** In tensors. */
  readonly allocated: number;
  /** The most there was in tensors. */
  readonly peakAllocated: number;
  /** Taken from the GPU. */
  readonly reserved: number;
  /** The most there was taken. */
  readonly peakReserved: number;
  /** What nobody has taken, other programs included. */
  readonly free: number;
}

/** The memory that libtorch uses on a GPU. Does not wait for it. */
export function cudaMemory(device: string): CudaMemory {
  const [native, gpu] = onGpu(device), numbers = new Float64Array(5);
  check(
    native.stec_cuda_memory(gpu, new Uint8Array(numbers.buffer), numbers.byteLength),
    "read a GPU's memory statistics",
  );
  const [allocated, peakAllocated, reserved, peakReserved, free] = numbers;
  return { allocated, peakAllocated, reserved, peakReserved, free };
}

/** Counts the most memory from now on. */
export function resetCudaPeak(device: string): void {
  const [native, gpu] = onGpu(device);
  check(native.stec_cuda_reset_peak(gpu), "reset a GPU's memory statistics");
}

/** Gives memory that no tensor uses back to the GPUs. */
export function emptyCudaCache(): void {
  check(cuda().stec_cuda_empty_cache(), "give back memory of GPUs");
}

/** Whether cuDNN tries its algorithms for each new shape and keeps the fastest. */
export function setCudnnBenchmark(enabled: boolean): void {
  check(cuda().stec_cuda_set_benchmark(enabled ? 1 : 0), "set cuDNN's autotuning");
}

/** Whether float32 products and convolutions may round what they multiply to TF32, which has 10 bits of mantissa. */
export function setTf32(enabled: boolean): void {
  check(cuda().stec_cuda_set_tf32(enabled ? 1 : 0), "set TF32");
}
