/**
 * What a run is allowed to do: as much as its settings ask for and no more. That holds for TypeScript. Native code, which
 * `--allow-ffi` lets in, may do whatever the user may.
 *
 * @module
 */

import { join, resolve } from "node:path";
import project from "../../deno.json" with { type: "json" };
import type { EvalSettings } from "../config/settings.ts";
import type { Archive } from "../data/archives.ts";
import { entryOf } from "../data/catalog.ts";
import { UsageError } from "../base/errors.ts";
import { REPOSITORY } from "../setup/environment.ts";
import type { NativeManifest } from "../setup/manifest.ts";

/** Variables of the program: its own, OpenMP's, those that lead to the cache, and those that sharp looks at. */
const VARIABLES = [
  "STEC_*",
  "OMP_WAIT_POLICY",
  "XDG_CACHE_HOME",
  "HOME",
  "MALLOC_ARENA_MAX",
  "npm_package_config_libvips",
];

/** What every command may do. */
const ALWAYS = ["--no-prompt", "--allow-read", `--allow-env=${VARIABLES}`];

/**
 * The flags of `deno run` for a run with these settings: it may read, write its results, load the native library and
 * see some variables.
 */
export function permissionsFor(settings: EvalSettings, manifest: NativeManifest): string[] {
  const { dataset, results_path } = settings;
  // Image files are decoded by sharp's native library.
  const pictures = entryOf(dataset).stored === "files";
  return withLibrary(manifest, results_path === "" ? [] : [results_path], pictures);
}

/** Those for a preview. `files` is what it may write: the page, under the names that it has while it is written, too. */
export function permissionsForPreview(manifest: NativeManifest, files: readonly string[]): string[] {
  return withLibrary(manifest, files, true);
}

/** Those for an export, which loads no library. `files` is what it may write. */
export function permissionsForExport(files: readonly string[]): string[] {
  return [...ALWAYS, ...allow("write", files)];
}

/** Those for a download, which reaches one host and writes to the data's folder. */
export function permissionsForDownload({ url }: Archive, dataDir: string): string[] {
  return [...ALWAYS, ...allow("write", [dataDir]), `--allow-net=${new URL(url).host}`];
}

/** Those for the set-up, as its task has them. */
export function permissionsForSetup(): string[] {
  return project.tasks.setup.command.split(" ").filter((word) => word.startsWith("--"));
}

function withLibrary(
  manifest: NativeManifest,
  writes: readonly string[],
  pictures: boolean,
): string[] {
  const libraries = [...manifest.preload, manifest.shim, manifest.cudaShim].filter((path) => path !== null);
  return [
    ...ALWAYS,
    ...allow("ffi", [...libraries, ...(pictures ? [join(REPOSITORY, "node_modules")] : [])]),
    ...allow("write", writes),
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
