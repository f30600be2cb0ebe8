/**
 * Finds what the CUDA library is compiled with.
 *
 * @module
 */

import { join } from "node:path";
import { type Environment, exists, namesIn } from "./environment.ts";

/** The headers of CUDA that are at hand. */
export interface CudaHeaders {
  /** Folders to search. */
  readonly includes: readonly string[];
  /** Headers that libtorch needs and that are in none of them. */
  readonly missing: readonly string[];
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

/** Looks for CUDA's headers in folders of NVIDIA's wheels, then in the toolkit (CUDA_HOME, /usr/local/cuda). */
export function cudaHeaders(nvidia: readonly string[], environment: Environment): CudaHeaders {
  const toolkit = environment.get("CUDA_HOME") || environment.get("CUDA_PATH") || "/usr/local/cuda";
  // Compilers search /usr/include anyway, and in the wrong order when told to.
  const includes = [...nvidia, toolkit].map((folder) => join(folder, "include"))
    .filter((folder) => folder !== "/usr/include" && exists(folder));
  const missing = NEEDED.filter((name) =>
    ![...includes, "/usr/include"].some((folder) => exists(join(folder, name)))
  );
  return { includes, missing };
}

/** The paths of the shared libraries in `folders` whose names begin with one of `stems`, for example `libnccl`. */
export function sharedLibraries(folders: readonly string[], stems: readonly string[]): string[] {
  return folders.flatMap((folder) =>
    namesIn(folder)
      .filter((name) => stems.some((stem) => name.startsWith(stem)) && /\.so(\.\d+)*$/.test(name))
      .map((name) => join(folder, name))
  );
}
