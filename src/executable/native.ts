/**
 * The native libraries of an executable: the shim, built so that it finds libtorch wherever both are unpacked, and
 * libtorch itself.
 *
 * @module
 */

import { basename, dirname, join, relative } from "node:path";
import { build } from "../setup/compile.ts";
import { type Environment, namesIn, REPOSITORY } from "../setup/environment.ts";
import type { Libtorch } from "../setup/libtorch.ts";
import { type NativeManifest, ownBuildFolder, USERS_LIBTORCH } from "../setup/manifest.ts";
import { type BuildPlan, hashOf, manifestOf, planBuild } from "../setup/plan.ts";
import type { Progress } from "../setup/progress.ts";
import { isLibtorch } from "../setup/wheel.ts";
import { type ContentFile, filesBelow } from "./content.ts";

/** The native part of an executable. */
export interface Native {
  /** Libraries, and the manifest that leads to them. */
  readonly files: readonly ContentFile[];
  /** libtorch's licences, by their paths in what it came in; none where it did not bring them. */
  readonly licences: readonly { readonly name: string; readonly path: string }[];
  /** libtorch's version. */
  readonly version: string;
}

/** The folder in the executable. */
export const NATIVE_FOLDER = "build";
/** A shared library, whichever version its name ends with. */
const SHARED = /\.so(\.\d+)*$/;

/** Builds the shim for a libtorch and collects the libraries. With `external`, libtorch's are left out. */
export async function nativeParts(
  libtorch: Libtorch,
  external: boolean,
  environment: Environment,
  progress: Progress,
): Promise<Native> {
  if (external && libtorch.flavour === "cuda") {
    throw new Error("Cannot leave out a libtorch for CUDA: its libraries would not find each other");
  }
  const plan = await movable(await planBuild(join(REPOSITORY, "native"), libtorch, environment), external);
  const folder = ownBuildFolder(REPOSITORY);
  await build(plan, folder, environment, progress);
  const built = manifestOf(plan, folder);
  if (libtorch.flavour === "cuda" && built.cudaMissing !== null) {
    throw new Error(`Cannot pack the library for CUDA: ${built.cudaMissing}`);
  }
  const shims = [built.shim, built.cudaShim].filter((path) => path !== null)
    .map((source) => ({ path: join(NATIVE_FOLDER, basename(source)), source }));
  const libraries = external ? [] : librariesOf(libtorch);
  const manifest = JSON.stringify(movedManifest(built, libtorch, external), null, 2) + "\n";
  return {
    files: [
      ...libraries.map(({ path, source }) => ({ path: join(NATIVE_FOLDER, path), source })),
      ...shims,
      { path: join(NATIVE_FOLDER, "native.json"), source: new TextEncoder().encode(manifest) },
    ],
    licences: external ? [] : licencesOf(libtorch),
    version: libtorch.version,
  };
}

/** The plan of a shim that looks for libtorch beside itself, or leaves it to the program to load it first. */
async function movable(plan: BuildPlan, external: boolean): Promise<BuildPlan> {
  const { folder, nvidia } = plan.libtorch;
  const runPaths = external
    ? []
    : [folder, ...nvidia].map((part) => join("$ORIGIN", placeOf(part, folder), "lib"));
  return { ...plan, runPaths, key: await hashOf(plan.key, runPaths) };
}

/** Where a folder with libraries is put: NVIDIA's beside libtorch's, as pip puts them and libtorch expects them. */
function placeOf(part: string, libtorch: string): string {
  return part === libtorch ? "torch" : join("nvidia", basename(part));
}

/** libtorch's libraries and NVIDIA's, with their paths in the executable's folder. */
function librariesOf({ folder, nvidia, flavour }: Libtorch): { path: string; source: string }[] {
  return [folder, ...nvidia].flatMap((part) =>
    namesIn(join(part, "lib"))
      // Python's parts and tests lie beside libtorch where it is an installed PyTorch.
      .filter((name) =>
        part === folder ? isLibtorch(`torch/lib/${name}`, flavour === "cuda") : SHARED.test(name)
      )
      .map((name) => ({ path: join(placeOf(part, folder), "lib", name), source: join(part, "lib", name) }))
  );
}

function movedManifest(built: NativeManifest, libtorch: Libtorch, external: boolean): NativeManifest {
  const { folder } = libtorch, root = dirname(folder);
  return {
    ...built,
    shim: basename(built.shim),
    cudaShim: built.cudaShim && basename(built.cudaShim),
    libtorch: external ? USERS_LIBTORCH : "torch",
    source: external ? "LIBTORCH" : "the executable",
    preload: external
      ? [join(USERS_LIBTORCH, "lib", "libtorch_cpu.so")]
      : built.preload.map((path) => relative(root, path)),
  };
}

/** The licences that came with a libtorch: a wheel has them in a folder of its own. */
function licencesOf({ folder }: Libtorch): { name: string; path: string }[] {
  const site = dirname(folder);
  return namesIn(site).filter((name) => /^torch-[^/]+\.dist-info$/.test(name))
    .map((name) => join(site, name, "licenses"))
    .flatMap((root) => filesBelow(root).map((path) => ({ name: relative(root, path), path })));
}
