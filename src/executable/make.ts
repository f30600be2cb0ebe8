/**
 * Makes the executable.
 *
 * @module
 */

import { dirname, join } from "node:path";
import project from "../../deno.json" with { type: "json" };
import { COMMAND_NAMES } from "../config/flags.ts";
import { type Environment, REPOSITORY } from "../setup/environment.ts";
import type { Progress } from "../setup/progress.ts";
import { getLibtorch } from "../setup/setup.ts";
import { answerOf, licenceFiles, programFiles } from "./content.ts";
import { denoCompile } from "./deno_compile.ts";
import { nativeParts } from "./native.ts";
import { pack } from "./pack.ts";
import { compileStart, zstdSources } from "./start.ts";

/** How to make an executable. */
export interface MakeOptions {
  /** The file to write. */
  readonly output: string;
  /** Whether to compress little, which makes it quickly and a quarter larger. */
  readonly fast: boolean;
  /** Whether libtorch is left out. */
  readonly external: boolean;
  /** Whether to try `deno compile` first. */
  readonly denoCompile: boolean;
}

/** Makes an executable and returns its size in bytes. */
export async function makeExecutable(
  { output, fast, external, denoCompile: tryFirst }: MakeOptions,
  environment: Environment,
  progress: Progress,
): Promise<number> {
  const libtorch = await getLibtorch(environment, progress);
  const native = await nativeParts(libtorch, external, environment, progress);
  const files = [...await programFiles(), ...native.files, ...licenceFiles(native)];
  const level = fast ? 3 : 19;
  await Deno.mkdir(dirname(output), { recursive: true });
  if (tryFirst && !external) {
    const failure = await denoCompile(output, files, level);
    if (failure === null) return Deno.statSync(output).size;
    progress.say(`deno compile cannot make it (${failure}): packing Deno itself`);
  }
  const start = await compileStart(environment);
  return pack(output, {
    start: Deno.readFileSync(start),
    parser: await parser(),
    commands: commands(),
    files: [
      { path: "deno", source: Deno.execPath(), executable: true },
      { path: "licences/zstd.txt", source: join(await zstdSources(), "LICENSE") },
      ...files,
    ],
    external,
  }, {
    level,
    onProgress: (share) => progress.step("Packing", share),
  });
}

/** The script that only understands command lines, in one file. */
async function parser(): Promise<Uint8Array> {
  const script = join(REPOSITORY, "src", "executable", "parse.ts");
  return new TextEncoder().encode(await answerOf("deno", ["bundle", "--quiet", "--platform=deno", script]));
}

/** Deno's arguments for each command: those of its task, but that Deno and the program are the unpacked ones. */
export function commands(): Map<string, string[]> {
  const common = ["--config=@FOLDER@/deno.json", "--cached-only"];
  const found = new Map(COMMAND_NAMES.map((name) => {
    const words = project.tasks[name].command.split(" ");
    const flags = words.slice(words.indexOf("run") + 1, words.indexOf("cli.ts"));
    return [
      name as string,
      // The tasks need more where LD_LIBRARY_PATH is set, which the start-up takes out.
      [...common, ...flags.map((flag) => flag === "--allow-run" ? "--allow-run=@FOLDER@/deno" : flag)],
    ];
  }));
  // Other words are answered with help or an error, which takes the fewest permissions.
  return found.set("", found.get("inspect")!);
}
