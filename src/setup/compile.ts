/**
 * Compiles the native library, as little of it as has changed.
 *
 * @module
 */

import { basename, join } from "node:path";
import { sharedLibraries } from "./cuda.ts";
import { type Environment, exists, run } from "./environment.ts";
import { makeFolder } from "./folder.ts";
import type { Libtorch } from "./libtorch.ts";
import { type BuildPlan, hashOf, manifestOf } from "./plan.ts";
import type { Progress } from "./progress.ts";

/** libtorch's headers want C++20 since 2.14. */
const COMPILE = ["-std=c++20", "-O2", "-fPIC", "-fvisibility=hidden"];
// Without --no-as-needed the linker drops libraries that register their operators as they are loaded. The old kind of
// rpath (--disable-new-dtags) also serves what libtorch needs in turn. -z defs finds what is missing before it is loaded.
const LINK = ["-shared", "-Wl,--no-as-needed", "-Wl,--disable-new-dtags", "-Wl,-z,defs"];
/** Lines of a compiler's complaint that are worth showing. */
const COMPLAINT = 40;

/** A C++ compiler. */
export interface Compiler {
  /** Its name and the arguments that come first. */
  readonly command: readonly string[];
  /** Its own words about its version. */
  readonly version: string;
}

/** Finds the compiler: CXX, else the first of c++, g++ and clang++. Throws where there is none. */
export async function findCompiler(environment: Environment): Promise<Compiler> {
  const named = environment.get("CXX")?.trim();
  const candidates = named ? [named] : ["c++", "g++", "clang++"];
  for (const candidate of candidates) {
    const command = candidate.split(/\s+/);
    const answer = await run(command[0], [...command.slice(1), "--version"]);
    if (answer?.code === 0) return { command, version: answer.out.split("\n")[0] };
  }
  throw new Error(
    `Cannot find a C++ compiler: tried ${
      named ? `CXX=${named}` : candidates.join(", ")
    }. Install one (Debian, ` +
      "Ubuntu: apt install g++; Fedora: dnf install gcc-c++), or name one in CXX",
  );
}

async function runCompiler({ command }: Compiler, args: string[], what: string): Promise<void> {
  const answer = await run(command[0], [...command.slice(1), ...args]);
  if (answer?.code === 0) return;
  const complaint = (answer?.err ?? "").trim().split("\n").slice(0, COMPLAINT);
  throw new Error([`Cannot ${what}:`, [...command, ...args].join(" "), ...complaint].join("\n"));
}

/** Whether libtorch was compiled with the newer of libstdc++'s two interfaces: 1 or 0, as the macro wants it. */
function glibcxxAbi(libtorch: Libtorch): number {
  const library = Deno.readFileSync(join(libtorch.folder, "lib", "libc10.so"));
  return new TextDecoder("latin1").decode(library).includes("__cxx1112basic_string") ? 1 : 0;
}

/** Compiles the sources that have no object file in `store` yet, as many at once as there are cores. */
async function compile(
  plan: BuildPlan,
  compiler: Compiler,
  store: string,
  temporary: string,
  progress: Progress,
): Promise<Map<string, string>> {
  const abi = `-D_GLIBCXX_USE_CXX11_ABI=${glibcxxAbi(plan.libtorch)}`;
  const flags = [...COMPILE, abi, ...plan.includes.flatMap((folder) => ["-isystem", folder])];
  const headers = [...plan.texts].filter(([name]) => name.endsWith(".h"));
  const common = await hashOf(compiler, flags, plan.libtorch.identity, headers);
  const objects = new Map<string, string>();
  for (const source of [...plan.core, ...plan.cuda]) {
    objects.set(source, join(store, `${await hashOf(common, source, plan.texts.get(source))}.o`));
  }
  const waiting = [...objects].filter(([, object]) => !exists(object));
  const total = waiting.length;
  let done = 0;
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [source, object] = next;
      const partial = join(temporary, `${source}.o`);
      await runCompiler(
        compiler,
        // The sources' own folder comes last: it stands in for headers of Gloo where libtorch has none.
        [...flags, "-isystem", plan.native, "-c", join(plan.native, source), "-o", partial],
        `compile ${source}`,
      );
      await Deno.rename(partial, object);
      progress.step("Compiling the native library", ++done / total);
    }
  };
  // All compilers have ended before the first failure is reported, so that none works on in a folder that is gone.
  const ends = await Promise.allSettled(Array.from({ length: navigator.hardwareConcurrency }, work));
  const failure = ends.find((end) => end.status === "rejected");
  if (failure) throw failure.reason;
  return objects;
}

async function link(
  plan: BuildPlan,
  compiler: Compiler,
  objects: Map<string, string>,
  temporary: string,
): Promise<void> {
  const folders = [
    ...plan.libraries.map((folder) => `-L${folder}`),
    ...plan.runPaths.map((folder) => `-Wl,-rpath,${folder}`),
  ];
  const make = (path: string, sources: readonly string[], libraries: string[]) => {
    const name = basename(path), output = join(temporary, name);
    const inputs = sources.map((source) => objects.get(source) ?? source);
    return runCompiler(
      compiler,
      [...LINK, `-Wl,-soname,${name}`, ...inputs, "-o", output, ...folders, ...libraries],
      `link ${name}`,
    );
  };
  const { shim, cudaShim } = manifestOf(plan, "");
  await make(shim, plan.core, ["-ltorch_cpu", "-lc10"]);
  if (cudaShim === null) return;
  // By path, for NVIDIA's wheels have no libcudart.so that -l would find, only libcudart.so.13.
  const nvidia = sharedLibraries(plan.libraries, ["libcudart", "libnccl"]);
  // The second library uses the handles of the first, which lies beside it.
  const first = [join(temporary, basename(shim)), "-Wl,-rpath,$ORIGIN"], cpu = ["-ltorch_cpu", "-lc10"];
  await make(cudaShim, plan.cuda, [...first, "-ltorch_cuda", "-lc10_cuda", ...cpu, ...nvidia]);
}

/** Builds what `plan` says in a folder of the folder `build`, unless that has been done. */
export async function build(
  plan: BuildPlan,
  build: string,
  environment: Environment,
  progress: Progress,
): Promise<void> {
  const fill = async (temporary: string) => {
    const compiler = await findCompiler(environment);
    const store = join(build, "objects");
    await Deno.mkdir(store, { recursive: true });
    progress.say(`Compiling the native library with ${compiler.version}`);
    await link(plan, compiler, await compile(plan, compiler, store, temporary, progress), temporary);
  };
  await makeFolder(
    join(build, plan.key),
    fill,
    () => progress.say("Waiting for another set-up that compiles"),
  );
}
