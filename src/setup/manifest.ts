/**
 * The record that a set-up leaves for the program: which libraries to load.
 *
 * @module
 */

import { dirname, join, resolve } from "node:path";
import { messageOf } from "../base/errors.ts";
import { cacheFolder, type Environment, exists, REPOSITORY } from "./environment.ts";
import { versionOf } from "./libtorch.ts";

/** What a set-up has built, and with what. Paths are absolute; in a file they may be relative to it. */
export interface NativeManifest {
  /** The library that `native/stec.h` describes. */
  readonly shim: string;
  /** The library for CUDA and NCCL, `null` where there is none. */
  readonly cudaShim: string | null;
  /** Why there is no library for CUDA, `null` where there is one. */
  readonly cudaMissing: string | null;
  /** The folder that holds libtorch's `lib` and `include`. */
  readonly libtorch: string;
  /** Where libtorch came from, in words. */
  readonly source: string;
  /** libtorch's version, for example `2.13.0`. */
  readonly version: string;
  /** Whether libtorch can use a GPU. */
  readonly flavour: "cpu" | "cuda";
  /** Libraries to open before the shim, in this order. */
  readonly preload: readonly string[];
}

/** The folder in a repository that set-ups build in. */
export function ownBuildFolder(repository: string): string {
  return join(repository, "build");
}

/** The folder in the cache that they build in where the repository cannot be written. */
export function cacheBuildFolder(repository: string, environment: Environment): string {
  return join(cacheFolder(environment), "build", encodeURIComponent(repository));
}

/** The manifest's path in a build folder. */
export function manifestPath(build: string): string {
  return join(build, "native.json");
}

/**
 * The manifest in force: the file that STEC_NATIVE names, else what the last set-up of `repository` has written.
 * Throws where there is none.
 */
export function readManifest(
  environment: Environment = Deno.env,
  repository: string = REPOSITORY,
): NativeManifest {
  // The cache comes first: a set-up that can write the repository removes what it finds there.
  const written = () =>
    [cacheBuildFolder(repository, environment), ownBuildFolder(repository)].map(manifestPath);
  const path = environment.get("STEC_NATIVE") || written().find(exists);
  if (!path) throw new Error("Cannot find the native library: run `deno task setup` first");
  let manifest: NativeManifest;
  try {
    manifest = JSON.parse(Deno.readTextFileSync(path));
  } catch (error) {
    throw new Error(
      `Cannot read the native library's manifest ${path} (${messageOf(error)}): run \`deno task setup\``,
    );
  }
  return placed(manifest, dirname(path), environment);
}

/** A path in a manifest begins so where the executable comes without libtorch and uses the user's. */
export const USERS_LIBTORCH = "$LIBTORCH";

/** A manifest with all its paths absolute. */
function placed(manifest: NativeManifest, folder: string, environment: Environment): NativeManifest {
  const users = manifest.libtorch === USERS_LIBTORCH ? usersLibtorch(manifest, environment) : "";
  const place = (path: string) => resolve(folder, path.replace(USERS_LIBTORCH, () => users));
  return {
    ...manifest,
    shim: place(manifest.shim),
    cudaShim: manifest.cudaShim && place(manifest.cudaShim),
    libtorch: place(manifest.libtorch),
    preload: manifest.preload.map(place),
  };
}

/** The folder of the libtorch that the user names, where an executable comes without. */
function usersLibtorch({ version }: NativeManifest, environment: Environment): string {
  const folder = environment.get("STEC_LIBTORCH");
  if (!folder) {
    throw new Error(
      `Cannot find libtorch: this executable comes without; set LIBTORCH to a libtorch ${version}`,
    );
  }
  if (!exists(join(folder, "lib", "libtorch_cpu.so"))) {
    throw new Error(`Cannot use LIBTORCH ${folder}: there is no lib/libtorch_cpu.so in it`);
  }
  const found = versionOf(folder);
  if (found === version) return folder;
  throw new Error(`Cannot use LIBTORCH ${folder}: it has version ${found}, this executable needs ${version}`);
}
