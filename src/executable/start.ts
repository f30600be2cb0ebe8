/**
 * Compiles the start-up of the executable, which needs nothing of the machine that it runs on.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { unpackTarGz } from "../data/tar.ts";
import { findCompiler } from "../setup/compile.ts";
import { type Environment, namesIn, REPOSITORY, run } from "../setup/environment.ts";
import { makeFolder } from "../setup/folder.ts";
import { ownBuildFolder } from "../setup/manifest.ts";
import { hashOf } from "../setup/plan.ts";
import { answerOf } from "./content.ts";

/** A package of npm that holds the sources of zstd 1.5.7. Of all else in it, nothing is used or installed. */
const ZSTD_PACKAGE = "zstd-napi@0.0.13";
const ZSTD_SHA512 = "12b185f8aa353ec6e8a14ea80bfb1cfdd8a258ac156b491dff9024152b3b920e" +
  "64c1c12e3ad4b33b2df150e69d5d094054d69bf53c6cc5a524de13aaddc8ff94";
const SOURCES = join(REPOSITORY, "src", "executable");
const HINT = "the C++ compiler needs a static C library (Debian, Ubuntu: libc6-dev; Fedora: glibc-static)";

/** The folder of zstd's sources, fetched on first use. */
export async function zstdSources(): Promise<string> {
  const folder = join(ownBuildFolder(REPOSITORY), "zstd");
  await makeFolder(folder, async (temporary) => {
    await answerOf("npm", ["pack", "--silent", "--pack-destination", temporary, ZSTD_PACKAGE]);
    const archive = join(temporary, namesIn(temporary).find((name) => name.endsWith(".tgz"))!);
    const found = createHash("sha512").update(Deno.readFileSync(archive)).digest("hex");
    if (found !== ZSTD_SHA512) {
      throw new Error(`Cannot use ${ZSTD_PACKAGE}: its content has changed (${found})`);
    }
    await unpackTarGz(archive, temporary);
  });
  return join(folder, "package", "deps", "zstd");
}

/** The start-up, compiled: built once, and again when its sources change. */
export async function compileStart(environment: Environment): Promise<string> {
  const compiler = await findCompiler(environment), zstd = await zstdSources();
  const own = namesIn(SOURCES).filter((name) => /\.(cpp|h)$/.test(name)).map((name) => join(SOURCES, name));
  const key = await hashOf(compiler, ZSTD_SHA512, own.map((path) => Deno.readTextFileSync(path)));
  const folder = join(ownBuildFolder(REPOSITORY), `start-${key}`);
  await makeFolder(folder, async (temporary) => {
    const lib = join(zstd, "lib");
    const sources = ["common", "decompress"].flatMap((part) =>
      namesIn(join(lib, part)).filter((name) => name.endsWith(".c")).map((name) => join(lib, part, name))
    );
    const [program, ...first] = compiler.command;
    const flags = ["-O2", "-DZSTD_DISABLE_ASM=1", "-I", lib];
    const make = async (args: string[]) => {
      const answer = await run(program, [...first, ...flags, ...args]);
      if (answer?.code !== 0) {
        throw new Error(`Cannot compile the start-up: ${HINT}\n${answer?.err ?? ""}`.trim());
      }
    };
    const objects = sources.map((_, i) => join(temporary, `${i}.o`));
    for (const [i, source] of sources.entries()) await make(["-x", "c", "-c", source, "-o", objects[i]]);
    const start = join(SOURCES, "start.cpp");
    await make(["-std=c++17", "-Wall", "-static", "-s", start, ...objects, "-o", join(temporary, "start")]);
  });
  return join(folder, "start");
}
