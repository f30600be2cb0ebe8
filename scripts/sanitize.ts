/**
 * Runs tests against a native library that checks itself: GCC's AddressSanitizer and UndefinedBehaviorSanitizer. libtorch
 * is not instrumented, so leaks are not looked for. The first error ends the process, and so fails its test.
 *
 *     deno run -A scripts/sanitize.ts [test files or folders]
 *
 * @module
 */

import { join } from "node:path";
import { build, findCompiler } from "../src/setup/compile.ts";
import { REPOSITORY, run } from "../src/setup/environment.ts";
import { manifestPath } from "../src/setup/manifest.ts";
import { manifestOf, planBuild } from "../src/setup/plan.ts";
import { stderrProgress } from "../src/setup/progress.ts";
import { getLibtorch } from "../src/setup/setup.ts";

const TESTS = ["test/torch", "test/nn", "test/checkpoint"];

const FLAGS = [
  "-fsanitize=address,undefined",
  // Types of libtorch are not known to the sanitizer.
  "-fno-sanitize=vptr",
  "-fno-sanitize-recover=all",
  "-D_GLIBCXX_ASSERTIONS",
  "-g1",
];

const compiler = (await findCompiler(Deno.env)).command;
const variables: Record<string, string> = { STEC_CUDA: "0", CXX: [...compiler, ...FLAGS].join(" ") };
const environment = { get: (name: string) => variables[name] ?? Deno.env.get(name) };

/** The path of one of the compiler's libraries. */
async function libraryPath(name: string): Promise<string> {
  const [program, ...args] = compiler;
  const answer = await run(program, [...args, `-print-file-name=${name}`]);
  return Deno.realPathSync(answer?.out.trim() ?? "");
}

/** Builds the library, apart from the one in use, and returns its manifest's path. */
async function buildLibrary(): Promise<string> {
  const progress = stderrProgress(), folder = join(REPOSITORY, "build", "sanitized");
  const plan = await planBuild(
    join(REPOSITORY, "native"),
    await getLibtorch(environment, progress),
    environment,
  );
  await build(plan, folder, environment, progress);
  Deno.writeTextFileSync(manifestPath(folder), JSON.stringify(manifestOf(plan, folder)));
  return manifestPath(folder);
}

const manifest = await buildLibrary();
// The sanitizer comes before all other libraries, and finds the functions that it replaces in those loaded with it.
const preload = await Promise.all(["libasan.so", "libstdc++.so.6"].map(libraryPath));
const { code } = await new Deno.Command(Deno.execPath(), {
  args: ["test", "--allow-all", "--no-check", ...(Deno.args.length > 0 ? Deno.args : TESTS)],
  cwd: REPOSITORY,
  env: {
    STEC_NATIVE: manifest,
    LD_PRELOAD: preload.join(" "),
    ASAN_OPTIONS: "detect_leaks=0:allocator_may_return_null=1",
  },
}).spawn().status;
Deno.exit(code);
