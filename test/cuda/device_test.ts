import assert from "node:assert/strict";
import { empty } from "../../src/torch/create.ts";
import {
  cudaDeviceCount,
  cudaMemory,
  describeCudaDevice,
  emptyCudaCache,
  gpuNumber,
  resetCudaPeak,
  synchronize,
} from "../../src/torch/cuda.ts";
import { hardwareTest, hasGpu } from "./gpu.ts";

Deno.test("devices: a machine without a GPU has none, and waiting for its CPU is no error", () => {
  assert.equal(cudaDeviceCount() > 0, hasGpu);
  synchronize("cpu");
  assert.throws(() => cudaMemory("cpu"), /^RangeError: Cannot use cpu as a GPU: wanted cuda or cuda:N$/);
});

hardwareTest("devices: a GPU says what it is", (device) => {
  const { name, capability, memory, multiprocessors, bfloat16 } = describeCudaDevice(device);
  assert.ok(name.length > 0 && memory > 2 ** 30 && multiprocessors > 0);
  assert.equal(bfloat16, capability[0] >= 8);
  const none = `cuda:${cudaDeviceCount()}`;
  assert.throws(() => describeCudaDevice(none), new RegExp(`there is no GPU ${gpuNumber(none)}`));
});

hardwareTest("devices: memory is counted, its peak until it is reset", (device) => {
  synchronize(device);
  emptyCudaCache();
  resetCudaPeak(device);
  const before = cudaMemory(device), bytes = 64 * 2 ** 20;
  empty([bytes / 4], { device })[Symbol.dispose]();
  const after = cudaMemory(device);
  assert.equal(after.allocated, before.allocated);
  assert.ok(after.peakAllocated >= before.allocated + bytes && after.reserved >= bytes);
  resetCudaPeak(device);
  assert.equal(cudaMemory(device).peakAllocated, before.allocated);
  emptyCudaCache();
  assert.ok(cudaMemory(device).reserved < after.reserved);
});
