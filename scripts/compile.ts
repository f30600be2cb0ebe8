/**
 * Makes `dist/stec`: the program, libtorch and Deno in one file that unpacks itself on first use.
 *
 * `--fast` compresses less; `--output <file>` writes elsewhere.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { basename, dirname, join, relative } from "node:path";
import { constants, zstdCompressSync } from "node:zlib";
import { REPOSITORY } from "../src/setup/environment.ts";
import { readManifest } from "../src/setup/manifest.ts";

const MODULES = join(REPOSITORY, "node_modules");
/** Built for other C libraries, or needed by a package's installation only. */
const LEFT_OUT = /musl|cmake-js|node-addon-api|node-api-headers|fast-check/;

const fast = Deno.args.includes("--fast");
const output = Deno.args.includes("--output")
  ? Deno.args[Deno.args.indexOf("--output") + 1]
  : join(REPOSITORY, "dist", "stec");

function run(command: string, args: string[]): Uint8Array {
  const { success, stdout, stderr } = new Deno.Command(command, { args, cwd: REPOSITORY }).outputSync();
  if (success) return stdout;
  throw new Error(`Cannot run ${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

/** The files below a folder, links resolved, in a fixed order. */
function* filesBelow(folder: string): Generator<string> {
  const entries = [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
  for (const { name } of entries) {
    const path = join(folder, name);
    if (!Deno.statSync(path).isDirectory) yield path;
    else if (name !== "node_modules") yield* filesBelow(path);
  }
}

/** The folders of the packages that the program loads, by name. */
function packages(): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (name: string, from: string) => {
    const linked = join(from, name);
    if (found.has(name) || LEFT_OUT.test(name)) return;
    let folder: string;
    try {
      folder = Deno.realPathSync(linked);
    } catch {
      return; // An optional part for another platform.
    }
    found.set(name, folder);
    const { dependencies, optionalDependencies } = JSON.parse(
      Deno.readTextFileSync(join(folder, "package.json")),
    );
    const siblings = folder.slice(0, folder.lastIndexOf("node_modules") + "node_modules".length);
    for (const next of Object.keys({ ...dependencies, ...optionalDependencies })) visit(next, siblings);
  };
  for (const name of Object.keys(config.imports)) visit(name, MODULES);
  return found;
}

const config = JSON.parse(Deno.readTextFileSync(join(REPOSITORY, "deno.json")));
const manifest = readManifest();
const stub = Deno.makeTempFileSync();
run(Deno.env.get("CXX") ?? "g++", [
  ...["-std=c++17", "-O2", "-static", join(REPOSITORY, "src/executable/start.cpp")],
  ...["-o", stub, "-lzstd"], // Debian: libzstd-dev
]);

const chunks: Uint8Array[] = [Deno.readFileSync(stub)];
Deno.removeSync(stub);
let size = chunks[0].length;
const hash = createHash("sha256");
const index: string[] = [];

function append(data: Uint8Array): string {
  const frame = zstdCompressSync(data, {
    params: {
      [constants.ZSTD_c_compressionLevel]: fast ? 3 : 19,
      [constants.ZSTD_c_checksumFlag]: 1,
      [constants.ZSTD_c_nbWorkers]: fast ? 0 : 2,
    },
  });
  const place = `${size}\t${frame.length}`;
  chunks.push(frame);
  size += frame.length;
  return place;
}

function pack(path: string, data: Uint8Array, mode = "600"): void {
  hash.update(`${path}\0${mode}\0${data.length}\0`).update(data);
  index.push(`file\t${mode}\t${append(data)}\t${path}`);
}

const encode = (text: string) => new TextEncoder().encode(text);
pack("deno", Deno.readFileSync(Deno.execPath()), "700");
const libraries = new TextDecoder().decode(run("ldd", [manifest.shim]))
  .split("\n").map((line) => / => (\/\S+)/.exec(line)?.[1])
  .filter((path) => path !== undefined)
  .filter((path) => Deno.realPathSync(path).startsWith(Deno.realPathSync(manifest.libtorch)));
for (const path of [...libraries, manifest.shim]) {
  pack(`lib/${basename(path)}`, Deno.readFileSync(path), "700");
}
for (const path of [join(REPOSITORY, "cli.ts"), ...filesBelow(join(REPOSITORY, "src"))]) {
  if (path.endsWith(".ts")) pack(relative(REPOSITORY, path), Deno.readFileSync(path));
}
for (const [name, folder] of packages()) {
  for (const path of filesBelow(folder)) {
    if (LEFT_OUT.test(path) || /darwin|win32|\.map$|\.d\.[cm]?ts$/.test(path)) continue;
    pack(join("node_modules", name, relative(folder, path)), Deno.readFileSync(path));
  }
}
pack("deno.json", encode(JSON.stringify({ nodeModulesDir: "manual", lock: false, imports: config.imports })));
for (const name of ["LICENSE", "NOTICE"]) {
  for (const folder of [REPOSITORY, manifest.libtorch, dirname(manifest.libtorch)]) {
    try {
      pack(`licences/${basename(folder)}/${name}`, Deno.readFileSync(join(folder, name)));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
// libtorch's libraries come first, by their paths, so that it does not matter where they were when the shim was linked.
const order = ["libgomp", "libc10", "libtorch"];
const rank = (path: string) => order.findIndex((name) => basename(path).startsWith(name));
const inside = libraries.toSorted((a, b) => rank(a) - rank(b)).map((path) =>
  `@FOLDER@/lib/${basename(path)}`
);
const packed = JSON.stringify({
  ...manifest,
  ...{
    shim: `@FOLDER@/lib/${basename(manifest.shim)}`,
    cudaShim: null,
    libtorch: "@FOLDER@",
    preload: inside,
  },
});
hash.update(packed);
index.push(`manifest\t${append(encode(packed))}\tnative.json`);
for (const name of ["--version", "--help", "train", "eval", "probe", "preview", "export", "inspect"]) {
  const args = name.startsWith("--") ? [name] : [name, "--help"];
  const page = run(Deno.execPath(), ["run", "--no-prompt", "--allow-read", "--allow-env", "cli.ts", ...args]);
  index.push(`page\t${name}\t${append(page)}`);
}

const [at, length] = append(encode([`key\t${hash.digest("hex")}`, ...index, ""].join("\n"))).split("\t");
const trailer = new BigUint64Array([BigInt(at), BigInt(length), BigInt(size + 32)]);
chunks.push(new Uint8Array(trailer.buffer), encode("STECPACK"));
Deno.mkdirSync(dirname(output), { recursive: true });
const temporary = `${output}.${Deno.pid}`;
using file = Deno.openSync(temporary, { write: true, create: true, truncate: true, mode: 0o755 });
for (const chunk of chunks) {
  for (let written = 0; written < chunk.length;) written += file.writeSync(chunk.subarray(written));
}
Deno.renameSync(temporary, output);
Deno.stdout.writeSync(encode(`Wrote ${output}: ${((size + 32) / 1e6).toFixed(0)} MB\n`));
