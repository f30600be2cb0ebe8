// deno-lint-ignore-file no-console -- a script that prints its results
/**
 * Compiles and links the library for CUDA and loads it, on a machine that need not have a GPU: in a copy of the
 * repository, so that what is built here stays as it is.
 *
 *     deno run -A scripts/check_cuda_build.ts [--torch 2.14.1]
 *
 * The first time it fetches several GB into the cache (STEC_CACHE). With LIBTORCH or LIBTORCH_USE_PYTORCH=1 nothing.
 *
 * @module
 */

import { join } from "node:path";
import { parseArgs } from "node:util";
import { REPOSITORY } from "../src/setup/environment.ts";

const { values } = parseArgs({ options: { torch: { type: "string", default: "2.14.1" } } });

/** What the copy needs. */
const PARTS = ["native", "src", "scripts", "deno.json", "deno.lock", "package.json"];

async function deno(folder: string, args: string[]): Promise<void> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...args],
    cwd: folder,
    env: { STEC_CUDA: "1", STEC_TORCH_VERSION: values.torch },
  }).output().then((result) => {
    Deno.stderr.writeSync(result.stderr);
    Deno.stdout.writeSync(result.stdout);
    return result;
  });
  if (code !== 0) throw new Error(`deno run ${args.join(" ")} ended with ${code}`);
}

/** Imports the product from the copy: reports devices, computes on the CPU, and is told why it cannot use a missing GPU. */
const PROBE = `
import { readManifest } from "./src/setup/manifest.ts";
const { cudaShim, cudaMissing, version } = readManifest();
if (cudaShim === null) throw new Error("Cannot build the library for CUDA: " + cudaMissing);
const started = performance.now();
const { tensor } = await import("./src/torch/create.ts");
const shim = performance.now() - started;
const { cudaDeviceCount, describeCudaDevice } = await import("./src/torch/cuda.ts");
const count = cudaDeviceCount({ sure: true });
const both = performance.now() - started;
if (tensor([1, 2]).add(1).sum().item() !== 5) throw new Error("Cannot compute on the CPU");
try {
  describeCudaDevice("cuda:" + count);
  throw new TypeError("A GPU that is not there was described");
} catch (error) {
  if (error instanceof TypeError) throw error;
}
console.log("ok: libtorch " + version + " starts in " + shim.toFixed(0) + " ms, with CUDA in " + both.toFixed(0) +
  " ms; GPUs: " + count);
`;

const folder = await Deno.makeTempDir({ prefix: "stec_cuda_" });
try {
  for (const part of PARTS) {
    const answer = await new Deno.Command("cp", { args: ["-r", join(REPOSITORY, part), folder] }).output();
    if (!answer.success) throw new Error(`Cannot copy ${part}: ${new TextDecoder().decode(answer.stderr)}`);
  }
  await Deno.symlink(join(REPOSITORY, "node_modules"), join(folder, "node_modules"));
  await Deno.writeTextFile(join(folder, "probe_cuda.ts"), PROBE);
  await deno(folder, ["scripts/setup.ts"]);
  await deno(folder, ["probe_cuda.ts"]);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exitCode = 1;
} finally {
  await Deno.remove(folder, { recursive: true });
}
