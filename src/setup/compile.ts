/**
 * Compiles the native library, as little of it as has changed.
 *
 * @module
 */

import { basename, join } from "node:path";
import { messageOf } from "../base/errors.ts";
import { sharedLibraries } from "./cuda.ts";
import { type Environment, exists, run } from "./environment.ts";
import { makeFolder } from "./folder.ts";
import type { Libtorch } from "./libtorch.ts";
import { type BuildPlan, CUDA_FAILURE, hashOf, manifestOf } from "./plan.ts";
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

/** Compiles those of `sources` that have no object file in `store` yet, as many at once as there are cores. */
async function compile(
  plan: BuildPlan,
  sources: readonly string[],
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
  for (const source of sources) {
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

/** Links objects and libraries to the library `output`. */
async function link(
  plan: BuildPlan,
  compiler: Compiler,
  objects: Map<string, string>,
  output: string,
  libraries: string[],
): Promise<void> {
  const name = basename(output);
  const folders = [
    ...plan.libraries.map((folder) => `-L${folder}`),
    ...plan.runPaths.map((folder) => `-Wl,-rpath,${folder}`),
  ];
  await runCompiler(
    compiler,
    [...LINK, `-Wl,-soname,${name}`, ...objects.values(), "-o", output, ...folders, ...libraries],
    `link ${name}`,
  );
}

/** The libraries that the shim is linked to. */
const CPU = ["-ltorch_cpu", "-lc10"];

/** The libraries that the one for CUDA is linked to; `shim` is the path of the first one. */
function cudaLibraries({ libraries, libtorch }: BuildPlan, shim: string): string[] {
  // By path, since NVIDIA's wheels have no libcudart.so that -l would find, only libcudart.so.13.
  const nvidia = sharedLibraries(libraries, ["libcudart", "libnccl"], libtorch.cuda);
  // It uses the handles of the shim, which lies beside it.
  return [shim, "-Wl,-rpath,$ORIGIN", "-ltorch_cuda", "-lc10_cuda", ...CPU, ...nvidia];
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
    const make = async (path: string, sources: readonly string[], libraries: string[]) => {
      const objects = await compile(plan, sources, compiler, store, temporary, progress);
      await link(plan, compiler, objects, join(temporary, basename(path)), libraries);
    };
    const { shim, cudaShim } = manifestOf(plan, "");
    await make(shim, plan.core, CPU);
    if (cudaShim === null) return;
    try {
      await make(cudaShim, plan.cuda, cudaLibraries(plan, join(temporary, basename(shim))));
    } catch (error) {
      // Without it the CPU can still be used.
      progress.say(messageOf(error));
      const [sentence] = messageOf(error).split("\n");
      await Deno.writeTextFile(join(temporary, CUDA_FAILURE), sentence.replace(/:$/, ""));
    }
  };
  await makeFolder(
    join(build, plan.key),
    fill,
    () => progress.say("Waiting for another set-up that compiles"),
  );
}
