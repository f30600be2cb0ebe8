/**
 * Where tensors live and how many threads work on them.
 *
 * @module
 */

import { cudaDeviceCount, gpuNumber } from "./cuda.ts";
import { check, manifest, native } from "./library.ts";

const usable = new Set<string>();

/**
 * Returns the name of a device, after loading CUDA if it is a GPU.
 *
 * @throws {Error} if there is no such GPU
 */
export function checkedDevice(device: string): string {
  const gpu = gpuNumber(device);
  if (gpu === null || usable.has(device)) return device;
  const count = cudaDeviceCount({ sure: true });
  if (gpu >= count) {
    const missing = manifest.cudaMissing ?? "no GPU was found";
    throw new Error(`Cannot use the device ${device}: ${count === 0 ? missing : `there are ${count} GPUs`}`);
  }
  usable.add(device);
  return device;
}

/** Sets how many threads one operator may use. */
export function setThreads(threads: number): void {
  check(native.stec_set_threads(threads), "set the number of threads");
}

/** How many threads one operator may use. */
export function threads(): number {
  return check(native.stec_threads(), "read the number of threads");
}
