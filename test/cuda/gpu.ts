/**
 * Tests that need a GPU.
 *
 * @module
 */

import { resolveDevice } from "../../src/machine/machine.ts";
import { cudaDeviceCount } from "../../src/torch/cuda.ts";

/** STEC_TEST_DEVICE=cpu runs the tests on the CPU all the same, to test the tests. */
const device = Deno.env.get("STEC_TEST_DEVICE") ?? (cudaDeviceCount() > 0 ? resolveDevice(1) : null);

/** Whether there is a GPU. */
export const hasGpu: boolean = device?.startsWith("cuda") ?? false;

/** A test that needs a GPU; without one it is skipped, and its name says so. */
export function gpuTest(name: string, body: (device: string) => void): void {
  if (device !== null) Deno.test(name, () => body(device));
  else Deno.test.ignore(`${name} (skipped: no GPU)`, () => {});
}

/** A test of the GPU itself, for which no CPU can stand in. */
export function hardwareTest(name: string, body: (device: string) => void): void {
  if (hasGpu || device === null) gpuTest(name, body);
  else Deno.test.ignore(`${name} (skipped: no CPU can do that)`, () => {});
}
