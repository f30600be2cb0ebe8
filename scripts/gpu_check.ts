// deno-lint-ignore-file no-console -- a script that prints its results
/**
 * Everything that only a machine with a GPU can show: builds against the PyTorch that is installed there, runs the tests
 * that need a GPU, those that can with all tensors on the GPU, short trainings, the benchmark beside PyTorch and all tests
 * with that libtorch, and prints one table. Needs no network. Where Deno is missing, `gpu_check.sh` brings it.
 *
 *     PYTHON=python3 deno run -A scripts/gpu_check.ts [--only build,gpu,device,train,benchmark,all] [--batch 1024] [--steps 200]
 *
 * With --dry-run the CPU stands in for the GPU, to see that nothing fails for another reason than a missing GPU.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { messageOf } from "../src/base/errors.ts";
import { REPOSITORY } from "../src/setup/environment.ts";
import { readManifest } from "../src/setup/manifest.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "build,gpu,device,train,benchmark,all" },
    batch: { type: "string", default: "1024" },
    steps: { type: "string", default: "200" },
    rounds: { type: "string", default: "5" },
    "dry-run": { type: "boolean", default: false },
  },
});
const dry = values["dry-run"], gpus = dry ? "0" : "1";
const python = Deno.env.get("PYTHON") ?? "python3";

function variables(): Record<string, string> {
  if (dry) return { STEC_TEST_DEVICE: "cpu" };
  const chosen = Deno.env.get("LIBTORCH") || Deno.env.get("LIBTORCH_USE_PYTORCH");
  return { STEC_CUDA: "1", ...chosen ? {} : { LIBTORCH_USE_PYTORCH: "1" } };
}

/** Runs `deno` in the repository, its words on the terminal, and returns its standard output. */
async function deno(...args: string[]): Promise<string> {
  return await denoWith({}, ...args);
}

async function denoWith(environment: Record<string, string>, ...args: string[]): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    cwd: REPOSITORY,
    env: { ...variables(), ...environment },
    stdout: "piped",
    stderr: "inherit",
  });
  const child = command.spawn(), decoder = new TextDecoder();
  let text = "";
  // Shown as it comes: whoever has to stop this sees how far it got.
  for await (const chunk of child.stdout) {
    Deno.stdout.writeSync(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  const { code } = await child.status;
  if (code !== 0) throw new Error(`${summary(text)}(deno ${args.join(" ")} ended with ${code})`);
  return text;
}

/** What a run of tests says at its end, and the names of those that failed. */
function summary(text: string): string {
  // deno-lint-ignore no-control-regex -- colours
  const plain = text.replace(/\x1b\[[\d;]*m/g, "");
  const counts = plain.match(/\d+ passed.*/g)?.at(-1) ?? "";
  const failed = plain.split(" FAILURES \n")[1]?.trim().split("\n\n")[0].split("\n") ?? [];
  return [counts, ...failed].filter((line) => line !== "").map((line) => `${line}\n`).join("");
}

const STEPS: Record<string, () => Promise<string>> = {
  async build() {
    const started = performance.now();
    await deno("run", "-A", "scripts/setup.ts");
    const { cudaMissing, version, source } = readManifest();
    if (cudaMissing !== null && !dry) throw new Error(cudaMissing);
    return `libtorch ${version} from ${source}, in ${((performance.now() - started) / 1000).toFixed(0)} s`;
  },
  async gpu() {
    const text = await deno("test", "-A", "--no-check", "test/cuda");
    if (text.includes("skipped: no GPU")) throw new Error("tests were skipped: libtorch sees no GPU");
    return summary(text);
  },
  /** The tests of operators, layers, losses, optimisers and views, with all of their tensors on the GPU. */
  async device() {
    const device = { STEC_TEST_DEVICE: dry ? "cpu" : "cuda:0" };
    const torch = ["foreach", "functional", "autograd", "tensor"].map((name) => `test/torch/${name}_test.ts`);
    const folders = ["test/ssl", "test/nn", "test/optim", "test/augment"];
    return summary(await denoWith(device, "test", "-A", "--no-check", ...folders, ...torch));
  },
  async train() {
    const plain = await demonstration();
    const found = [`plain:\n${plain}`];
    if (!dry) found.push(`--cuda_graph:\n${await demonstration("--cuda_graph")}`);
    return found.join("\n");
  },
  benchmark() {
    const { batch, steps, rounds } = values;
    const sizes = ["--batch", batch, "--steps", steps, "--rounds", rounds];
    return deno(
      "run",
      "-A",
      "--no-check",
      "scripts/bench_gpu.ts",
      "--python",
      python,
      "--gpus",
      gpus,
      ...sizes,
    );
  },
  async all() {
    return summary(await deno("test", "-A", "--no-check", "--ignore=test/cuda"));
  },
};

/** The built-in demonstration, shortened, and what it says at its end. */
async function demonstration(...flags: string[]): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const length = ["--max_epochs", dry ? "1" : "6", "--results_path", folder];
    const text = await deno(
      "run",
      "-A",
      "--no-check",
      "cli.ts",
      "train",
      "--gpus",
      gpus,
      ...length,
      ...flags,
    );
    const last = Deno.readTextFileSync(`${folder}/metrics.jsonl`).trim().split("\n")
      .filter((line) => line.includes("images_per_second")).at(-1);
    return `${text.trim()}\n${last}`;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const results: string[] = [];
for (const name of values.only.split(",")) {
  try {
    results.push(`ok      ${name}\n${(await STEPS[name]()).trim()}`);
  } catch (error) {
    results.push(`failed  ${name}\n${messageOf(error)}`);
    Deno.exitCode = 1;
    // Without a library there is nothing more to see.
    if (name === "build") break;
  }
}
const table = results.map((result) => result.replaceAll("\n", "\n        ")).join("\n");
console.log(`\n${table}`);
