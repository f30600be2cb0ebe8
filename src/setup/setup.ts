/**
 * Gets libtorch and the native library ready: what `deno task setup` does.
 *
 * @module
 */

import { join } from "node:path";
import { type Environment, exists, REPOSITORY, wantsCuda } from "./environment.ts";
import { isWhole } from "./folder.ts";
import { findLibtorch, inspectCache, type Libtorch } from "./libtorch.ts";
import {
  cacheBuildFolder,
  manifestPath,
  type NativeManifest,
  ownBuildFolder,
  readManifest,
} from "./manifest.ts";
import { type BuildPlan, manifestOf, planBuild } from "./plan.ts";
import type { Progress } from "./progress.ts";

/** Whether files can be made in `folder`, which is made if need be. */
function isWritable(folder: string): boolean {
  try {
    Deno.mkdirSync(folder, { recursive: true });
    Deno.removeSync(Deno.makeTempFileSync({ dir: folder }));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}

/** The libtorch to build against, fetched if need be. */
export async function getLibtorch(environment: Environment, progress: Progress): Promise<Libtorch> {
  const found = await findLibtorch(environment);
  if (found !== null) return found;
  // Loaded only where it is needed: the set-up runs before every training, mostly with nothing to do.
  const { fetchLibtorch } = await import("./fetch.ts");
  return await inspectCache(await fetchLibtorch(environment, progress), environment);
}

function serialized(plan: BuildPlan, build: string): string {
  return JSON.stringify(manifestOf(plan, build), null, 2) + "\n";
}

/** Whether `plan` is built in the folder `build`, and said to be. */
function isReady(plan: BuildPlan, build: string): boolean {
  const path = manifestPath(build);
  return isWhole(join(build, plan.key)) && exists(path) &&
    Deno.readTextFileSync(path) === serialized(plan, build);
}

/**
 * Finds or fetches libtorch, compiles the native library of `repository`, and records both for the program. Does
 * nothing where that is done already, or where STEC_NATIVE names a library that somebody else has set up.
 */
export async function setUp(
  environment: Environment,
  progress: Progress,
  repository: string = REPOSITORY,
): Promise<NativeManifest> {
  if (Deno.build.os !== "linux") throw new Error(`Cannot set up on ${Deno.build.os}: S-TEC needs Linux`);
  if (environment.get("STEC_NATIVE")) return readManifest(environment, repository);
  const libtorch = await getLibtorch(environment, progress);
  const plan = await planBuild(join(repository, "native"), libtorch, environment);
  const own = ownBuildFolder(repository);
  const other = cacheBuildFolder(repository, environment);
  const inForce = exists(manifestPath(other)) ? other : own;
  if (isReady(plan, inForce)) return manifestOf(plan, inForce);

  const { build } = await import("./compile.ts");
  const { writeAtomically, writeFully } = await import("../files/atomic.ts");
  const folder = isWritable(own) ? own : other;
  await build(plan, folder, environment, progress);
  writeAtomically(manifestPath(folder), (file) => {
    writeFully(file, new TextEncoder().encode(serialized(plan, folder)));
  });
  if (folder === own && exists(manifestPath(other))) await Deno.remove(manifestPath(other));
  const manifest = manifestOf(plan, folder);
  if (wantsCuda(environment) && manifest.cudaMissing !== null) {
    progress.say(`CUDA is not available: ${manifest.cudaMissing}`);
  }
  return manifest;
}

/** One line about a set-up that is done. */
export function describeSetup({ version, flavour, source }: NativeManifest): string {
  return `Ready: libtorch ${version} (${flavour}) from ${source}`;
}
