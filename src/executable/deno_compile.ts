/**
 * The first choice: `deno compile` makes the executable, where its runtime can be had.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { dirname, join, relative } from "node:path";
import { run } from "../setup/environment.ts";
import type { ContentFile } from "./content.ts";
import { NATIVE_FOLDER } from "./native.ts";
import { compress } from "./pack.ts";
import { PACKED, type PackedIndex } from "./unpack.ts";

/** What the program may do, built in: which files it writes and what it fetches depends on its flags. */
const PERMISSIONS = ["read", "write", "ffi", "env", "run", "net", "sys=uid"].map((name) => `--allow-${name}`);

/**
 * Makes an executable of files with `deno compile`. Returns null, or why it could not: mostly since its runtime is
 * neither in DENORT_BIN nor can be downloaded.
 */
export async function denoCompile(
  output: string,
  files: readonly ContentFile[],
  level: number,
): Promise<string | null> {
  const folder = await Deno.makeTempDir({ prefix: "stec-compile-" });
  try {
    const missing = await whyNoRuntime(join(folder, "trial"));
    if (missing !== null) return missing;
    stage(folder, files, level);
    const included = [
      PACKED,
      "node_modules",
      "licences",
      "src/data/decode_worker.ts",
      "src/distributed/attendant_worker.ts",
    ]
      .flatMap((path) => ["--include", join(folder, path)]);
    const answer = await run("deno", [
      ...["compile", "--quiet", "--no-check", "--no-prompt", "--self-extracting", "--output", output],
      ...["--config", join(folder, "deno.json"), ...PERMISSIONS, ...included, join(folder, "cli.ts")],
    ]);
    if (answer?.code !== 0) return cause(answer?.err ?? "there is no deno in PATH");
    const { code, out } = (await run(output, ["--version"]))!;
    return code === 0 && out.startsWith("stec ") ? null : "what it makes does not start";
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Why the smallest program cannot be made, null if it can: it is quickly tried, and the rest takes minutes. */
async function whyNoRuntime(trial: string): Promise<string | null> {
  Deno.writeTextFileSync(`${trial}.ts`, "console.log('started')");
  const answer = await run("deno", ["compile", "--quiet", "--no-config", "--output", trial, `${trial}.ts`]);
  if (answer?.code !== 0) return cause(answer?.err ?? "there is no deno in PATH");
  // A runtime that is none makes a file that does something else.
  return (await run(trial, []))?.out === "started\n" ? null : "what it makes does not start";
}

/** Writes the files as the program expects them. `deno compile` does not compress, so libraries are packed. */
export function stage(folder: string, files: readonly ContentFile[], level: number): void {
  const hash = createHash("sha256"), packed: { path: string; size: number; packed: string }[] = [];
  const write = (path: string, bytes: Uint8Array) => {
    Deno.mkdirSync(dirname(join(folder, path)), { recursive: true });
    Deno.writeFileSync(join(folder, path), bytes);
  };
  for (const { path, source } of files) {
    const bytes = typeof source === "string" ? Deno.readFileSync(source) : source;
    if (!path.startsWith(`${NATIVE_FOLDER}/`)) {
      write(path, bytes);
      continue;
    }
    const file = { path: relative(NATIVE_FOLDER, path), size: bytes.length, packed: `${packed.length}.zst` };
    packed.push(file);
    write(join(PACKED, file.packed), compress(bytes, level));
    hash.update(`${file.path}\0${file.size}\0`).update(bytes);
  }
  const index: PackedIndex = { key: hash.digest("hex").slice(0, 32), files: packed };
  write(join(PACKED, "index.json"), new TextEncoder().encode(JSON.stringify(index)));
}

/** What Deno gives as an error's first cause: it comes last, before a backtrace if there is one. */
function cause(text: string): string {
  // deno-lint-ignore no-control-regex
  const [report] = text.replace(/\x1b\[[\d;]*m/g, "").split("Stack backtrace:");
  const lines = report.split("\n").map((line) => line.replace(/^ *\d+: /, "").trim());
  return lines.findLast((line) => line !== "") ?? "it said nothing";
}
