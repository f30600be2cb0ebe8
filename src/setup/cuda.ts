/**
 * Finds what the CUDA library is compiled with.
 *
 * @module
 */

import { basename, join } from "node:path";
import { type Environment, exists, namesIn } from "./environment.ts";

/** The headers of CUDA that are at hand. */
export interface CudaHeaders {
  /** Folders to search. */
  readonly includes: readonly string[];
  /** Headers that libtorch needs and that are in none of them. */
  readonly missing: readonly string[];
  /** The versions of those that were found, for example `{ cuda: "13.0", nccl: "2.29.7" }`; `null` where they do not tell. */
  readonly versions: { readonly cuda: string | null; readonly nccl: string | null };
}

/** What libtorch's own CUDA headers include. */
const NEEDED = [
  "cuda_runtime_api.h",
  "crt/host_defines.h",
  "nv/target",
  "cublas_v2.h",
  "cublasLt.h",
  "cusolverDn.h",
  "cusparse.h",
  "nccl.h",
];

function toolkitOf(environment: Environment): string {
  return environment.get("CUDA_HOME") || environment.get("CUDA_PATH") || "/usr/local/cuda";
}

/** Looks for CUDA's headers in folders of NVIDIA's wheels, then in the toolkit (CUDA_HOME, /usr/local/cuda). */
export function cudaHeaders(nvidia: readonly string[], environment: Environment): CudaHeaders {
  // Compilers search /usr/include anyway, and in the wrong order when told to.
  const includes = [...nvidia, toolkitOf(environment)].map((folder) => join(folder, "include"))
    .filter((folder) => folder !== "/usr/include" && exists(folder));
  const find = (name: string) =>
    [...includes, "/usr/include"].map((folder) => join(folder, name)).find(exists);
  const textOf = (name: string) => {
    const path = find(name);
    return path === undefined ? "" : Deno.readTextFileSync(path);
  };
  return {
    includes,
    missing: NEEDED.filter((name) => find(name) === undefined),
    versions: { cuda: cudartVersion(textOf("cuda_runtime_api.h")), nccl: ncclVersion(textOf("nccl.h")) },
  };
}

function cudartVersion(header: string): string | null {
  const [, version] = /^#define CUDART_VERSION\s+(\d+)/m.exec(header) ?? [];
  return version === undefined ? null : `${Math.floor(+version / 1000)}.${Math.floor(+version % 1000 / 10)}`;
}

function ncclVersion(header: string): string | null {
  const parts = ["MAJOR", "MINOR", "PATCH"].map((part) =>
    new RegExp(`^#define NCCL_${part}\\s+(\\d+)`, "m").exec(header)?.[1]
  );
  return parts.includes(undefined) ? null : parts.join(".");
}

/**
 * Why headers of these versions cannot be used with a libtorch that was built with others, `null` if they can. Of CUDA's
 * runtime the major version counts. NCCL's structures, which libtorch's own contain, change with the minor one.
 */
export function headerMismatch(
  { versions }: Pick<CudaHeaders, "versions">,
  libtorch: { readonly cuda: string | null; readonly nccl: string | null },
): string | null {
  const differ = (a: string | null, b: string | null, parts: number) =>
    a !== null && b !== null && a.split(".").slice(0, parts).join() !== b.split(".").slice(0, parts).join();
  const sentence = (what: string, header: string | null, built: string | null) =>
    `the header of ${what} is of version ${header}, libtorch was built with ${built}`;
  if (differ(versions.cuda, libtorch.cuda, 1)) return sentence("CUDA", versions.cuda, libtorch.cuda);
  if (differ(versions.nccl, libtorch.nccl, 2)) return sentence("NCCL", versions.nccl, libtorch.nccl);
  return null;
}

/** The toolkit's folders of libraries. */
export function toolkitLibraries(environment: Environment): string[] {
  return ["lib64", "extras/CUPTI/lib64"].map((part) => join(toolkitOf(environment), part)).filter(exists);
}

/**
 * The path of the first shared library in `folders` for each of `stems`, for example `libnccl`. Of CUDA's own there may
 * be several versions: with `cuda`, for example `13.0`, another major version is passed over.
 */
export function sharedLibraries(
  folders: readonly string[],
  stems: readonly string[],
  cuda: string | null,
): string[] {
  const ownVersions = /^lib(cudart|cupti)\.so\.(\d+)/, major = cuda?.split(".")[0];
  const fits = (name: string) =>
    /\.so(\.\d+)*$/.test(name) &&
    (major === undefined || [undefined, major].includes(ownVersions.exec(name)?.[2]));
  const paths = folders.flatMap((folder) => namesIn(folder).filter(fits).map((name) => join(folder, name)));
  return stems.flatMap((stem) => paths.find((path) => basename(path).startsWith(stem)) ?? []);
}
