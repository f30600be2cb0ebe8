/**
 * Finds the libtorch to build against, without fetching anything.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { wantedBuild } from "./driver.ts";
import { cacheFolder, type Environment, exists, isOn, namesIn, run } from "./environment.ts";
import { isWhole } from "./folder.ts";
import { checkVersion, parseCuda, parseVersion, PINNED_VERSION } from "./version.ts";

/** A libtorch that can be built against. */
export interface Libtorch {
  /** Where it came from, in words. */
  readonly source: string;
  /** The folder that holds `lib` and `include`. */
  readonly folder: string;
  /** For example `2.13.0`. */
  readonly version: string;
  /** Whether it holds the libraries for CUDA. */
  readonly flavour: "cpu" | "cuda";
  /** Folders of NVIDIA's wheels beside it, each with `lib` or `include`. */
  readonly nvidia: readonly string[];
  /** The version of CUDA that it was built with, for example `13.0`; `null` for the CPU, or if it does not tell. */
  readonly cuda: string | null;
  /** The version of NCCL that it was built with, for example `2.29.7`; `null` if it does not tell. */
  readonly nccl: string | null;
  /** Why there is none for CUDA although there is a driver; else `null`. */
  readonly cudaMissing: string | null;
  /** Changes when another libtorch is put in the same place. */
  readonly identity: string;
}

const VERSION_FILES = [
  "version.py",
  "build-version",
  "include/torch/headeronly/version.h",
  "include/torch/csrc/api/include/torch/version.h",
];

function versionTexts(folder: string): string[] {
  return VERSION_FILES.map((name) => join(folder, name)).filter(exists).map((path) =>
    Deno.readTextFileSync(path)
  );
}

/** The version of the libtorch in `folder`. Throws if no file there tells. */
export function versionOf(folder: string): string {
  for (const text of versionTexts(folder)) {
    const version = parseVersion(text);
    if (version !== null) return version;
  }
  throw new Error(
    `Cannot tell the version of libtorch in ${folder}: none of ${VERSION_FILES.join(", ")} has it`,
  );
}

/** The version of NCCL that the wheel of torch in `site` asks for. */
function ncclOf(site: string): string | null {
  const paths = namesIn(site).filter((name) => /^torch-[^/]+\.dist-info$/.test(name))
    .map((name) => join(site, name, "METADATA")).filter(exists);
  const [, version] = /^Requires-Dist: nvidia-nccl-cu\d+\s*\(?==([\d.]+)/m.exec(
    paths.map((path) => Deno.readTextFileSync(path)).join("\n"),
  ) ?? [];
  return version ?? null;
}

/**
 * Describes the libtorch in `folder`, or throws what is wrong with it.
 *
 * @param sites Folders with an `nvidia` folder of NVIDIA's wheels in them.
 */
export function inspectLibtorch(
  folder: string,
  source: string,
  environment: Environment,
  sites: readonly string[] = [dirname(folder)],
): Libtorch {
  const library = join(folder, "lib", "libtorch_cpu.so");
  for (const path of [library, join(folder, "include", "ATen", "ATen.h")]) {
    if (!exists(path)) throw new Error(`Cannot use the libtorch of ${source}: there is no ${path}`);
  }
  const version = versionOf(folder);
  checkVersion(version, folder, environment);
  const { size, mtime } = Deno.statSync(library);
  const nvidia = sites.map((site) => join(site, "nvidia"))
    .flatMap((parent) => namesIn(parent).map((name) => join(parent, name)))
    .filter((part) => exists(join(part, "lib")) || exists(join(part, "include")));
  return {
    source,
    folder,
    version,
    flavour: exists(join(folder, "lib", "libtorch_cuda.so")) ? "cuda" : "cpu",
    nvidia,
    cuda: versionTexts(folder).map(parseCuda).find((found) => found !== null) ?? null,
    nccl: ncclOf(dirname(folder)),
    cudaMissing: null,
    identity: `${version} ${library} ${size} ${mtime?.getTime()}`,
  };
}

// Finding a package does not import it: PyTorch itself would take seconds.
const WHERE_IS_TORCH = `
import sys; sys.path[:] = [path for path in sys.path if path]
import json, importlib.util
def where(name):
    spec = importlib.util.find_spec(name)
    return list(spec.submodule_search_locations or []) if spec else []
print(json.dumps([sys.executable, where("torch"), where("nvidia")]))
`;

/** The Python interpreters to try, in order: the one that PYTHON names, or the usual two. */
export function pythons(environment: Environment): string[] {
  const named = environment.get("PYTHON");
  return named ? [named] : ["python3", "python"];
}

async function installedPytorch(environment: Environment): Promise<Libtorch> {
  const tried: string[] = [];
  for (const python of pythons(environment)) {
    const answer = await run(python, ["-c", WHERE_IS_TORCH]);
    if (answer === null || answer.code !== 0) {
      tried.push(`${python} ${answer === null ? "is not installed" : `failed: ${answer.err.trim()}`}`);
      continue;
    }
    const [executable, torch, nvidia] = JSON.parse(answer.out) as [string, string[], string[]];
    if (torch.length > 0) {
      return inspectLibtorch(torch[0], `the PyTorch of ${executable}`, environment, nvidia.map(dirname));
    }
    tried.push(`${executable} has no package torch`);
  }
  throw new Error(
    `Cannot find an installed PyTorch, which LIBTORCH_USE_PYTORCH=1 asks for: ${tried.join("; ")}. ` +
      `Activate the environment that has it, or name its interpreter in PYTHON`,
  );
}

/** The version of libtorch to fetch. */
export function wantedVersion(environment: Environment): string {
  return environment.get("STEC_TORCH_VERSION") || PINNED_VERSION;
}

/** The folder in the cache for the libtorch that this machine wants, be it there or not. */
export async function cacheEntry(environment: Environment): Promise<string> {
  const { build } = await wantedBuild(environment);
  return join(cacheFolder(environment), "libtorch", `${wantedVersion(environment)}-${build}`);
}

/** The file of a cache entry that says why it holds a libtorch for the CPU instead of one for CUDA. */
export const CUDA_MISSING = "cuda_missing.txt";

/** Describes what a set-up has put into the cache at `entry`. */
export async function inspectCache(entry: string, environment: Environment): Promise<Libtorch> {
  // The archive calls its folder libtorch, the wheel torch.
  const folder = ["libtorch", "torch"].map((name) => join(entry, name)).find(exists) ?? entry;
  const found = inspectLibtorch(folder, "the cache", environment), note = join(entry, CUDA_MISSING);
  const { cudaMissing } = await wantedBuild(environment);
  return { ...found, cudaMissing: cudaMissing ?? (exists(note) ? Deno.readTextFileSync(note) : null) };
}

/**
 * Finds a libtorch on this machine: in the folder LIBTORCH, with LIBTORCH_USE_PYTORCH=1 in an installed PyTorch, else
 * in the cache. `null` if it has to be fetched first; throws where the user asked for one that cannot be used.
 */
export async function findLibtorch(environment: Environment): Promise<Libtorch | null> {
  const folder = environment.get("LIBTORCH");
  if (folder) {
    if (!exists(folder)) throw new Error(`Cannot use LIBTORCH: there is no folder ${folder}`);
    return inspectLibtorch(Deno.realPathSync(folder), "LIBTORCH", environment);
  }
  if (isOn(environment.get("LIBTORCH_USE_PYTORCH"))) return await installedPytorch(environment);
  const entry = await cacheEntry(environment);
  return isWhole(entry) ? await inspectCache(entry, environment) : null;
}
