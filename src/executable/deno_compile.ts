/**
 * The first choice: `deno compile` makes the executable, where its runtime can be had.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { run } from "../setup/environment.ts";
import type { ContentFile } from "./content.ts";

/** What the program may do, built in: which files it writes and what it fetches depends on its flags. */
const PERMISSIONS = ["read", "write", "ffi", "env", "run", "net"].map((name) => `--allow-${name}`);

/**
 * Makes an executable of files with `deno compile`. Returns null, or why it could not: mostly since its runtime is
 * neither in DENORT_BIN nor can be downloaded.
 */
export async function denoCompile(output: string, files: readonly ContentFile[]): Promise<string | null> {
  const folder = await Deno.makeTempDir({ prefix: "stec-compile-" });
  try {
    for (const { path, source } of files) {
      const target = join(folder, path);
      await Deno.mkdir(dirname(target), { recursive: true });
      if (typeof source === "string") await Deno.copyFile(source, target);
      else await Deno.writeFile(target, source);
    }
    const included = ["build", "node_modules", "licences", "src/data/decode_worker.ts"]
      .flatMap((path) => ["--include", join(folder, path)]);
    const answer = await run("deno", [
      ...["compile", "--quiet", "--no-check", "--no-prompt", "--self-extracting", "--output", output],
      ...["--config", join(folder, "deno.json"), ...PERMISSIONS, ...included, join(folder, "cli.ts")],
    ]);
    if (answer?.code !== 0) return cause(answer?.err ?? "there is no deno in PATH");
    // A runtime that is none makes a file that does something else.
    const trial = await run(output, ["--version"]);
    return trial?.code === 0 && trial.out.startsWith("stec ") ? null : "what it makes does not start";
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What Deno gives as an error's first cause: it comes last, before a backtrace if there is one. */
function cause(text: string): string {
  // deno-lint-ignore no-control-regex
  const [report] = text.replace(/\x1b\[[\d;]*m/g, "").split("Stack backtrace:");
  const lines = report.split("\n").map((line) => line.replace(/^ *\d+: /, "").trim());
  return lines.findLast((line) => line !== "") ?? "it said nothing";
}
