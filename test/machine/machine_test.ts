import assert from "node:assert/strict";
import { UsageError } from "../../src/base/errors.ts";
import {
  allowTf32,
  machineMetrics,
  notesOnDevice,
  resolveDevice,
  resolvePrecision,
} from "../../src/machine/machine.ts";
import { GradScaler } from "../../src/optim/grad_scaler.ts";
import { cudaDeviceCount, gpuNumber } from "../../src/torch/cuda.ts";

const gpus = cudaDeviceCount();

Deno.test("machine: without a GPU, or told so, the CPU computes, in float32", () => {
  assert.equal(resolveDevice(0), "cpu");
  if (gpus === 0) assert.equal(resolveDevice("auto"), "cpu");
  assert.equal(resolvePrecision("auto", "cpu"), null);
  assert.equal(resolvePrecision("bf16", "cpu"), "bfloat16");
  assert.deepEqual(machineMetrics({ device: "cpu" }), {});
});

Deno.test("machine: more GPUs than there are is an error that says what to do", () => {
  assert.throws(() => resolveDevice(1000), /^Error: Cannot use 1000 GPUs: .*; --gpus 0 computes on the CPU$/);
});

Deno.test("machine: what only GPUs can do is refused on the CPU in one sentence", () => {
  assert.throws(
    () => allowTf32(true, "cpu"),
    new UsageError("Cannot use --tf32 on the CPU: only NVIDIA's GPUs have TF32"),
  );
  allowTf32(false, "cpu");
  assert.throws(() => resolvePrecision("fp16", "cpu"), /Cannot train in fp16 on the CPU/);
});

Deno.test("machine: the log shows what the gradient scaler does", () => {
  using scaler = new GradScaler("cpu");
  scaler.skipped = 2;
  assert.deepEqual(machineMetrics({ device: "cpu", scaler }), { gradient_scale: 65536, skipped_steps: 2 });
});

Deno.test("machine: GPUs have numbers", () => {
  assert.deepEqual(["cuda", "cuda:0", "cuda:12", "cpu", "cuda:x"].map(gpuNumber), [0, 0, 12, null, null]);
});

Deno.test("machine: a driver without a usable GPU and GPUs that stay idle are said in one sentence", () => {
  const choice = {
    gpus: "auto",
    device: "cpu",
    found: 0,
    driver: true,
    missing: null,
    shared: false,
  } as const;
  assert.deepEqual(notesOnDevice(choice), [
    "Training on the CPU: NVIDIA's driver is installed, but no GPU can be used " +
    "(libtorch finds none that works with this driver)",
  ]);
  assert.match(notesOnDevice({ ...choice, missing: "no headers" })[0], /\(no headers\)$/);
  const gpu = { ...choice, device: "cuda:0", found: 8 };
  assert.deepEqual(notesOnDevice(gpu), ["Using 1 of 8 GPUs; --gpus 8 trains on all of them"]);
  const silent = [
    { ...choice, driver: false },
    { ...choice, gpus: 0 },
    { ...gpu, found: 1 },
    { ...gpu, shared: true },
    { ...gpu, gpus: 1 },
  ];
  for (const each of silent) assert.deepEqual(notesOnDevice(each), []);
});
