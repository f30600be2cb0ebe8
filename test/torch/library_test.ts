import assert from "node:assert/strict";
import { borrowTypedArray, ones, returnBorrowed, tensor } from "../../src/torch/create.ts";
import { setThreads, threads } from "../../src/torch/device.ts";
import { describeLibrary, manifest, native, PAYLOAD, payload } from "../../src/torch/library.ts";
import { counters, scope } from "../../src/torch/scope.ts";

const HEADER = new URL("../../native/stec.h", import.meta.url);
const LIBRARY = new URL("../../src/torch/library.ts", import.meta.url);

/** C types of the header as Deno's. */
const TYPES: Readonly<Record<string, string>> = {
  "double": "f64",
  "uint32_t": "u32",
  "int32_t": "i32",
  "uint8_t*": "buffer",
  "const uint8_t*": "buffer",
};

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/\/\/.*/g, "");
}

Deno.test("library: the symbol table agrees with the header, function by function", () => {
  const declared = new Map<string, string>(), listed = new Map<string, string>();
  const header = withoutComments(Deno.readTextFileSync(HEADER));
  for (const [, result, name, list] of header.matchAll(/STEC_API ([\w ]+?\*?) (stec_\w+)\(([^)]*)\)/g)) {
    const parameters = list === "void"
      ? []
      : list.split(",").map((part) => TYPES[part.trim().replace(/ ?\w+$/, "")]);
    declared.set(name, `${parameters} -> ${TYPES[result]}`);
  }
  const table = withoutComments(Deno.readTextFileSync(LIBRARY));
  for (
    const [, name, list, result] of table.matchAll(
      /(stec_\w+): \{\s*parameters: \[([^\]]*)\],\s*result: "(\w+)"/g,
    )
  ) {
    listed.set(name, `${[...list.matchAll(/"(\w+)"/g)].map(([, type]) => type)} -> ${result}`);
  }
  assert.ok(declared.size > 20);
  assert.deepEqual(listed, declared);
});

Deno.test("library: sizes of the frame and the ABI version agree with the header", () => {
  const header = Deno.readTextFileSync(HEADER);
  assert.match(header, new RegExp(`#define STEC_PAYLOAD \\(1 << ${Math.log2(PAYLOAD)}\\)`));
  assert.match(header, new RegExp(`#define STEC_ABI_VERSION ${native.stec_abi_version()}\n`));
  assert.equal(native.stec_use_frame(new Uint8Array(8), 8), -1);
});

Deno.test("library: libtorch describes itself", () => {
  const description = describeLibrary();
  assert.equal(description.version.split("+")[0], manifest.version.split("+")[0]);
  assert.match(description.cpuCapability, /\w/);
  assert.match(description.configuration, /PyTorch built with/);
  assert.equal(description.threads, threads());
});

Deno.test("device: the number of threads is set and read", () => {
  const before = threads();
  try {
    setThreads(1);
    assert.equal(threads(), 1);
    setThreads(2);
    assert.equal(threads(), 2);
    for (const wrong of [0, 1025, 2 ** 31]) {
      assert.throws(() => setThreads(wrong), { name: "TorchError", message: /must be 1 to 1,024, not/ });
    }
    assert.equal(threads(), 2);
  } finally {
    setThreads(before);
  }
});

Deno.test("library: functions refuse handles and numbers that nobody gave out", () => {
  const failed = [NaN, -1, 0, 0.5, 1, 2 ** 53, Infinity, 1e300];
  for (const handle of failed) {
    assert.equal(native.stec_tensor_info(handle), -1);
    assert.equal(native.stec_tensor_free(handle), -1);
    assert.equal(native.stec_tensor_same(handle, handle), -1);
    assert.equal(native.stec_tensor_copy_bytes(handle, new Uint8Array(4), 4), -1);
    assert.equal(native.stec_backward(handle, 0, 0, 0), -1);
    assert.equal(native.stec_gradient(handle), -1);
    assert.equal(native.stec_set_gradient(handle, 0), -1);
    assert.equal(native.stec_set_requires_grad(handle, 1), -1);
    assert.equal(native.stec_generator_free(handle), -1);
  }
  using real = ones([1]);
  assert.equal(native.stec_tensor_same(real.handle, real.handle), 1);
  assert.equal(native.stec_generator_free(real.handle), -1, "a tensor is no generator");
  payload.set(failed);
  assert.equal(native.stec_tensor_free_all(failed.length), 0, "what is free already is passed over");
  assert.equal(native.stec_tensor_free_all(PAYLOAD + 1), -1);
  for (const op of [9999, 2 ** 31, 2 ** 32 - 1]) assert.equal(native.stec_call(op, 0), -1);
  for (const dtype of [-1, 99, 2 ** 31 - 1]) {
    payload[0] = 1;
    assert.equal(native.stec_tensor_from_bytes(new Uint8Array(4), 4, dtype, 1), -1);
  }
  for (const [device, dtype] of [[-1, 15], [99, 15], [0, 99], [0, 4]]) {
    assert.equal(native.stec_set_autocast(device, dtype), -2);
  }
  for (const seed of [NaN, 0.5, 1e300]) assert.equal(native.stec_generator_new(seed), -1);
});

/** Runs worker.ts in `count` workers at once and returns what each reports. */
function runWorkers(count: number): Promise<unknown[]> {
  return Promise.all(Array.from({ length: count }, (_, index) =>
    new Promise((resolve, reject) => {
      const worker = new Worker(import.meta.resolve("./worker.ts"), { type: "module" });
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
      worker.onmessage = ({ data }) => {
        worker.terminate();
        resolve(data);
      };
      worker.postMessage(index);
    })));
}

Deno.test("library: workers share the library without touching each other's modes, errors or arrays", async () => {
  const before = counters();
  const mine = new Float32Array(16).fill(3), held = borrowTypedArray(mine), borrowed = returnBorrowed();
  const reports = runWorkers(3);
  for (let i = 0; i < 200; i++) {
    scope(() => {
      const x = ones([2]).requiresGrad_();
      assert.equal(x.mul(2).requiresGrad, true);
      assert.equal(x.detach().reshape(1, 2).matmul(tensor([[1], [2]])).dtype, "float32");
      assert.throws(() => x.add(ones([3])), /float32\[2\], float32\[3\]/);
    });
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert.deepEqual(await reports, [0, 1, 2].map((index) => ({ index, problems: [] })));
  assert.equal(returnBorrowed(), borrowed, "a worker's tickets are not mine");
  assert.deepEqual(held.toNumbers(), [...mine]);
  held[Symbol.dispose]();
  assert.deepEqual(counters(), before);
});

/** The waiting policy that OpenMP reports as a program that uses the library starts, with a variable set or not. */
async function waitPolicy(variable?: string): Promise<string | undefined> {
  const { OMP_WAIT_POLICY: _, ...variables } = Deno.env.toObject();
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", `import ${JSON.stringify(import.meta.resolve("../../mod.ts"))}`],
    clearEnv: true,
    env: { ...variables, OMP_DISPLAY_ENV: "true", ...(variable && { OMP_WAIT_POLICY: variable }) },
  }).output();
  const text = new TextDecoder().decode(stderr);
  assert.equal(code, 0, text);
  return /OMP_WAIT_POLICY = '(\w+)'/.exec(text)?.[1];
}

Deno.test("library: threads of a program that imports it sleep while they wait, unless asked to spin", async () => {
  assert.equal(await waitPolicy(), "PASSIVE");
  assert.equal(await waitPolicy("active"), "ACTIVE");
});
