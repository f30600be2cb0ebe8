/**
 * What the executable is made of: files by their paths in the folder that it is unpacked to, which looks like the
 * repository.
 *
 * @module
 */

import { basename, join, relative } from "node:path";
import project from "../../deno.json" with { type: "json" };
import { namesIn, REPOSITORY, run } from "../setup/environment.ts";
import type { Native } from "./native.ts";

/** A file of the executable. */
export interface ContentFile {
  /** Where it is put. */
  readonly path: string;
  /** Its bytes, or the path that they are read from. */
  readonly source: Uint8Array | string;
  /** Whether it is a program. */
  readonly executable?: boolean;
}

/** A package from which a library alone is used, and none of its code. */
const LIBRARY_ONLY = "@julusian/jpeg-turbo";
/** What of that package is used. */
const LIBRARY = new RegExp(
  `^(package\\.json|LICENSE|prebuilds/jpeg-turbo-linux-${
    Deno.build.arch === "x86_64" ? "x64" : "arm64"
  }/libturbojpeg\\.so\\.0)$`,
);
/** Packages for other C libraries, and files only for other runtimes, for compilers and for who debugs packages. */
const LEFT_OUT = /linuxmusl|\.([cm]?ts|map|h|bare)$|\/sharp\/(src|install)\//;
/**
 * In the place of a module with which sharp asks which C library there is. It looks into files that a small system has
 * not, then asks Deno for things that the program may not know; and what is packed needs glibc anyway.
 */
const DETECT_LIBC = {
  path: "node_modules/detect-libc/lib/detect-libc.js",
  text: `module.exports = {
  GLIBC: "glibc", MUSL: "musl",
  familySync: () => "glibc", versionSync: () => null, isNonGlibcLinuxSync: () => false,
  family: async () => "glibc", version: async () => null, isNonGlibcLinux: async () => false,
};
`,
};
/** The program's main modules: the command line, and those of Workers. */
const MAIN_MODULES = ["cli.ts", "src/data/decode_worker.ts", "src/distributed/attendant_worker.ts"];

/** What `deno info --json` says, as far as it matters here. */
interface Graph {
  readonly modules: readonly { readonly local?: string; readonly npmPackage?: string }[];
  readonly npmPackages: {
    readonly [id: string]: {
      readonly name: string;
      readonly localPath: string;
      readonly dependencies: readonly string[];
    };
  };
}

/** The modules that the program may load, and the packages that those load. */
export async function programFiles(): Promise<ContentFile[]> {
  const graphs = await Promise.all(MAIN_MODULES.map(graphOf));
  const modules = new Set(graphs.flatMap(({ modules }) => modules.flatMap(({ local }) => local ?? [])));
  const own = [...modules].filter((path) => path.endsWith(".ts")).sort()
    .map((path) => ({ path: relative(REPOSITORY, path), source: path }));
  const packages = new Map(graphs.flatMap((graph) => [...packagesOf(graph)]));
  packages.set(LIBRARY_ONLY, join(REPOSITORY, "node_modules", LIBRARY_ONLY));
  // A workspace and a package of its own: Deno looks no further upwards, where others might have put something.
  const config = { ...project, workspace: [], nodeModulesDir: "manual", lock: false, tasks: {} };
  return [
    ...own,
    ...[...packages].sort().flatMap(([name, folder]) => packageFiles(name, folder))
      .map((file) => file.path === DETECT_LIBC.path ? { ...file, source: encode(DETECT_LIBC.text) } : file),
    { path: "deno.json", source: encode(JSON.stringify(config)) },
    { path: "package.json", source: encode(JSON.stringify({ name: "stec", private: true, type: "module" })) },
  ];
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function graphOf(module: string): Promise<Graph> {
  return JSON.parse(await answerOf("deno", ["info", "--json", join(REPOSITORY, module)]));
}

/** What a program answers; throws where it fails. */
export async function answerOf(program: string, args: string[]): Promise<string> {
  const answer = await run(program, args);
  if (answer?.code === 0) return answer.out;
  throw new Error(
    `Cannot run ${program} ${args.join(" ")}: ${answer === null ? "it is not installed" : answer.err.trim()}`,
  );
}

/** The folders of the packages that a graph loads on this kind of machine, by name. */
function packagesOf({ modules, npmPackages }: Graph): Map<string, string> {
  const folders = new Map<string, string>(), seen = new Set<string>();
  const visit = (id: string) => {
    if (seen.has(id)) return;
    seen.add(id);
    const { name, localPath, dependencies } = npmPackages[id];
    // Parts for other systems are named, but not installed.
    if (LEFT_OUT.test(name) || namesIn(localPath).length === 0) return;
    if (folders.has(name)) {
      throw new Error(`Cannot pack two versions of ${name}: only one can be found by its name`);
    }
    folders.set(name, localPath);
    dependencies.forEach(visit);
  };
  for (const { npmPackage } of modules) if (npmPackage !== undefined) visit(npmPackage);
  return folders;
}

function packageFiles(name: string, folder: string): ContentFile[] {
  const isWanted = (file: string) =>
    name === LIBRARY_ONLY ? LIBRARY.test(relative(folder, file)) : !LEFT_OUT.test(file);
  return filesBelow(folder).filter(isWanted)
    .map((file) => ({ path: join("node_modules", name, relative(folder, file)), source: file }));
}

/** The files below a folder, in a fixed order. Packages inside are left out: they are packed on their own. */
export function filesBelow(folder: string): string[] {
  return namesIn(folder).filter((name) => name !== "node_modules").map((name) => join(folder, name))
    .flatMap((path) => Deno.statSync(path).isDirectory ? filesBelow(path) : [path]);
}

/** Licences of what has none beside its files. Those of packages are in the packages' folders. */
export function licenceFiles({ licences }: Native): ContentFile[] {
  const texts = join(REPOSITORY, "src", "executable", "licences");
  const own = [
    join(REPOSITORY, "LICENSE"),
    ...namesIn(texts).map((name) => join(texts, name)),
  ];
  return [
    ...own.map((source) => ({ path: join("licences", basename(source)), source })),
    // libtorch's own, and those of all that is compiled into it.
    ...licences.map(({ name, path }) => ({ path: join("licences", "libtorch", name), source: path })),
  ];
}
