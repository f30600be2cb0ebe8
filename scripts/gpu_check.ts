// deno-lint-ignore-file no-console -- a script that prints its results
/**
 * Everything that only a machine with a GPU can show, in one command: builds against the PyTorch that is installed there,
 * runs the tests that need a GPU and the benchmark beside PyTorch, and prints one table. Needs no network.
 *
 *     LIBTORCH_USE_PYTORCH=1 PYTHON=python3 deno run -A scripts/gpu_check.ts [--batch 1024] [--steps 50]
 *
 * @module
 */

import { parseArgs } from "node:util";
import { messageOf } from "../src/errors.ts";
import { REPOSITORY } from "../src/setup/environment.ts";
import { readManifest } from "../src/setup/manifest.ts";

const { values } = parseArgs({
  options: { batch: { type: "string", default: "1024" }, steps: { type: "string", default: "50" } },
});
const python = Deno.env.get("PYTHON") ?? "python3";
const environment: Record<string, string> = { STEC_CUDA: "1" };
if (!Deno.env.get("LIBTORCH")) environment.LIBTORCH_USE_PYTORCH = "1";

/** Runs `deno` in the repository, its words on the terminal, and returns its standard output. */
async function deno(...args: string[]): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    cwd: REPOSITORY,
    env: environment,
    stderr: "inherit",
  });
  const { code, stdout } = await command.output();
  Deno.stdout.writeSync(stdout);
  if (code !== 0) throw new Error(`deno ${args.join(" ")} ended with ${code}`);
  return new TextDecoder().decode(stdout);
}

async function setUp(): Promise<string> {
  await deno("run", "-A", "scripts/setup.ts");
  const { cudaMissing, version, source } = readManifest();
  if (cudaMissing !== null) throw new Error(cudaMissing);
  return `libtorch ${version} from ${source}`;
}

async function test(): Promise<string> {
  const text = await deno("test", "-A", "--no-check", "test/cuda");
  if (text.includes("skipped: no GPU")) throw new Error("tests were skipped: libtorch sees no GPU");
  return text.match(/\d+ passed[^(]*/)?.[0].trim() ?? "passed";
}

async function benchmark(): Promise<string> {
  const { batch, steps } = values;
  const text = await deno("run", "-A", "scripts/bench_gpu.ts", ...[
    "--python",
    python,
    "--batch",
    batch,
    "--steps",
    steps,
  ]);
  return `\n${text.trim()}`;
}

const results: string[] = [];
for (const [name, check] of Object.entries({ build: setUp, tests: test, benchmark })) {
  try {
    results.push(`${"ok".padEnd(8)}${name.padEnd(12)}${await check()}`);
  } catch (error) {
    results.push(`${"failed".padEnd(8)}${name.padEnd(12)}${messageOf(error)}`);
    Deno.exitCode = 1;
    // Without a library there is nothing more to see.
    if (name === "build") break;
  }
}
console.log(`\n${results.join("\n")}`);
