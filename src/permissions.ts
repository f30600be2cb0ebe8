/**
 * What a run is allowed to do: as much as its settings ask for and no more.
 *
 * @module
 */

import { join, resolve } from "node:path";
import type { DatasetName, EvalSettings } from "./config/settings.ts";
import { UsageError } from "./errors.ts";
import { REPOSITORY } from "./setup/environment.ts";
import type { NativeManifest } from "./setup/manifest.ts";

/** Variables that the program reads: its own, those that lead to the cache, and those that sharp looks at. */
const VARIABLES = ["STEC_*", "XDG_CACHE_HOME", "HOME", "MALLOC_ARENA_MAX", "npm_package_config_libvips"];

/** Where data sets come from. */
const HOSTS: { readonly [K in DatasetName]?: string } = {
  cifar10: "www.cs.toronto.edu",
  cifar100: "www.cs.toronto.edu",
  stl10: "ai.stanford.edu",
};

/** The data sets of JPEG files, which sharp's native library decodes. */
const DECODED: readonly DatasetName[] = ["imagenet", "folder"];

/**
 * The flags of `deno run` for a run with these settings: it may read, write its results, load the native library,
 * see some variables, and fetch the data set if it was asked to.
 */
export function permissionsFor(settings: EvalSettings, manifest: NativeManifest): string[] {
  const { dataset, results_path, data_dir, download } = settings;
  const libraries = [...manifest.preload, manifest.shim, manifest.cudaShim].filter((path) => path !== null);
  const host = HOSTS[dataset];
  return [
    "--no-prompt",
    "--allow-read",
    ...allow("ffi", [...libraries, ...(DECODED.includes(dataset) ? [join(REPOSITORY, "node_modules")] : [])]),
    ...allow("write", [...(results_path === "" ? [] : [results_path]), ...(download ? [data_dir] : [])]),
    `--allow-env=${VARIABLES}`,
    ...(download && host !== undefined ? [`--allow-net=${host}`] : []),
  ];
}

function allow(what: "ffi" | "write", paths: readonly string[]): string[] {
  const split = paths.find((path) => resolve(path).includes(","));
  if (split !== undefined) {
    throw new UsageError(`Cannot use the path ${split}: Deno splits its lists of permitted paths at commas`);
  }
  // An empty list would permit everything.
  return paths.length === 0 ? [] : [`--allow-${what}=${paths.map((path) => resolve(path))}`];
}
