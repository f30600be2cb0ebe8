/** Says what of this machine S-TEC can use, and what is missing: `deno task doctor`. */

import { messageOf } from "../src/base/errors.ts";
import { findCompiler } from "../src/setup/compile.ts";
import { cacheFolder, namesIn, run, wantsCuda } from "../src/setup/environment.ts";
import { findLibtorch } from "../src/setup/libtorch.ts";
import { readManifest } from "../src/setup/manifest.ts";
import { readFlags } from "./arguments.ts";

const HELP = `Usage: deno task doctor

Says what of this machine S-TEC can use and what is missing: versions, paths, devices, and whether the
native library loads.`;

/** Prints one line about `subject`: what `look` finds, or why it finds nothing. Returns whether it did. */
async function report(subject: string, look: () => string | Promise<string>): Promise<boolean> {
  try {
    print("ok", subject, await look());
    return true;
  } catch (error) {
    print("missing", subject, messageOf(error));
    return false;
  }
}

function print(state: string, subject: string, text: string): void {
  const line = `${state.padEnd(9)}${subject.padEnd(16)}${text}\n`;
  Deno.stdout.writeSync(new TextEncoder().encode(line));
}

function cache(): string {
  const folder = cacheFolder(Deno.env);
  const entries = namesIn(`${folder}/libtorch`).filter((name) => !name.startsWith("."));
  return `${folder}: ${entries.join(", ") || "empty"}`;
}

async function libtorch(): Promise<string> {
  const found = await findLibtorch(Deno.env);
  if (found === null) throw new Error("not fetched yet: run `deno task setup`");
  return `${found.version} (${found.flavour}) from ${found.source}: ${found.folder}`;
}

async function gpus(): Promise<string> {
  if (!wantsCuda(Deno.env)) return "no NVIDIA driver: the CPU is used";
  const query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"];
  const answer = await run("nvidia-smi", query);
  if (answer?.code !== 0) throw new Error("NVIDIA's driver does not answer: see what nvidia-smi says");
  return answer.out.trim().replaceAll("\n", "; ");
}

function nativeLibrary(): string {
  const { shim, libtorch, version, flavour } = readManifest();
  return `${shim}, for libtorch ${version} (${flavour}) in ${libtorch}`;
}

function cudaLibrary(): string {
  const { cudaShim, cudaMissing } = readManifest();
  if (cudaShim !== null) return cudaShim;
  if (!wantsCuda(Deno.env)) return "not needed without a GPU";
  throw new Error(cudaMissing ?? "run `deno task setup`");
}

async function load(): Promise<string> {
  const { describeLibrary } = await import("../src/torch/library.ts");
  const { version, cpuCapability, threads } = describeLibrary();
  return `libtorch ${version}, CPU capability ${cpuCapability}, ${threads} threads`;
}

readFlags(HELP, {});
const { os, arch } = Deno.build;
await report("Deno", () => `${Deno.version.deno} (V8 ${Deno.version.v8}), ${os} ${arch}`);
await report("C++ compiler", async () => (await findCompiler(Deno.env)).version);
await report("cache", cache);
await report("libtorch", libtorch);
await report("GPUs", gpus);
await report("native library", nativeLibrary);
await report("CUDA library", cudaLibrary);
if (!await report("loads", load)) Deno.exitCode = 1;
