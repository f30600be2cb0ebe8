/**
 * Decides what the native library is built from, without running anything.
 *
 * @module
 */

import { join } from "node:path";
import { type CudaHeaders, cudaHeaders, headerMismatch, sharedLibraries, toolkitLibraries } from "./cuda.ts";
import { type Environment, exists, namesIn } from "./environment.ts";
import type { Libtorch } from "./libtorch.ts";
import type { NativeManifest } from "./manifest.ts";

/** What is to be built. */
export interface BuildPlan {
  /** What to build against. */
  readonly libtorch: Libtorch;
  /** The folder of the sources. */
  readonly native: string;
  /** The sources of the shim. */
  readonly core: readonly string[];
  /** The sources of the library for CUDA; none where it cannot be built. */
  readonly cuda: readonly string[];
  /** Why there is no library for CUDA, `null` where there is one. */
  readonly cudaMissing: string | null;
  /** Folders of headers. */
  readonly includes: readonly string[];
  /** Folders of libraries. */
  readonly libraries: readonly string[];
  /** Folders in which what is built looks for libraries. */
  readonly runPaths: readonly string[];
  /** All files of `native` by name. */
  readonly texts: ReadonlyMap<string, string>;
  /** Names the result; it differs where the sources, libtorch or the choice of compiler differ. */
  readonly key: string;
}

/** Names whatever `parts` hold by their hash. */
export async function hashOf(...parts: unknown[]): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(parts));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex().slice(0, 24);
}

function whyNoCuda(
  libtorch: Libtorch,
  sources: readonly string[],
  headers: CudaHeaders,
): string | null {
  const { source, flavour, cudaMissing } = libtorch, { missing } = headers;
  if (flavour === "cpu") return cudaMissing ?? `libtorch from ${source} is built for the CPU only`;
  if (sources.length === 0) return "this version has no sources for it";
  if (missing.length === 0) return headerMismatch(headers, libtorch);
  return `headers of CUDA are missing (${
    missing.join(", ")
  }): name a CUDA toolkit with NCCL in CUDA_HOME, or use ` +
    "a PyTorch installed with pip, which brings most of them (LIBTORCH_USE_PYTORCH=1), beside NVIDIA's wheels " +
    "nvidia-cuda-crt and nvidia-cuda-cccl";
}

/** The files below a folder, by their paths from `root`. */
function filesIn(root: string, folder: string): string[] {
  return namesIn(join(root, folder)).map((name) => join(folder, name))
    .flatMap((path) => Deno.statSync(join(root, path)).isDirectory ? filesIn(root, path) : [path]);
}

/** Plans what to build from the sources in the folder `native`: `cuda*.cpp` are the library for CUDA, the rest the shim. */
export async function planBuild(
  native: string,
  libtorch: Libtorch,
  environment: Environment,
): Promise<BuildPlan> {
  const files = [...namesIn(native), ...filesIn(native, "gloo")].filter((name) => /\.(cpp|h)$/.test(name));
  const texts = new Map(files.map((name) => [name, Deno.readTextFileSync(join(native, name))]));
  const sources = files.filter((name) => name.endsWith(".cpp"));
  if (sources.length === 0) {
    throw new Error(`Cannot build the native library: there are no sources in ${native}`);
  }
  const cuda = sources.filter((name) => name.startsWith("cuda"));
  const headers = cudaHeaders(libtorch.nvidia, environment);
  const cudaMissing = whyNoCuda(libtorch, cuda, headers);
  const torch = join(libtorch.folder, "include");
  const includes = [torch, join(torch, "torch/csrc/api/include"), ...(cudaMissing ? [] : headers.includes)];
  const wheels = [libtorch.folder, ...libtorch.nvidia].map((folder) => join(folder, "lib")).filter(exists);
  const libraries = libtorch.flavour === "cuda" ? [...wheels, ...toolkitLibraries(environment)] : wheels;
  // The compiler's version is left out: what is built stays good, even where there is no compiler any more.
  const compiler = environment.get("CXX") ?? "";
  return {
    libtorch,
    native,
    core: sources.filter((name) => !name.startsWith("cuda")),
    cuda: cudaMissing ? [] : cuda,
    cudaMissing,
    includes,
    libraries,
    runPaths: libraries,
    texts,
    key: await hashOf(libtorch.identity, includes, headers.versions, libraries, compiler, [...texts]),
  };
}

/** The file in the folder of a build that says why its library for CUDA could not be built. */
export const CUDA_FAILURE = "cuda_failure.txt";

/** The manifest of a plan that is built in the folder `build`. */
export function manifestOf(plan: BuildPlan, build: string): NativeManifest {
  const { libtorch, libraries, key } = plan, failure = join(build, key, CUDA_FAILURE);
  const cudaMissing = plan.cudaMissing ?? (exists(failure) ? Deno.readTextFileSync(failure) : null);
  return {
    shim: join(build, key, "libstec.so"),
    cudaShim: cudaMissing === null ? join(build, key, "libstec_cuda.so") : null,
    cudaMissing,
    libtorch: libtorch.folder,
    source: libtorch.source,
    version: libtorch.version,
    flavour: libtorch.flavour,
    // A CUDA build's CPU library needs these two, and looks for them only where pip would have put them.
    preload: sharedLibraries(libraries.slice(1), ["libcudart", "libcupti"], libtorch.cuda),
  };
}
