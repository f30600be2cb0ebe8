/** Small stand-ins for what a set-up works with: libtorch, wheels, Python, a repository. */

import { dirname, join } from "node:path";
import { crc32, deflateRawSync } from "node:zlib";
import type { Environment } from "../../src/setup/environment.ts";
import type { Progress } from "../../src/setup/progress.ts";

const REPOSITORY = join(import.meta.dirname!, "..", "..");

/** An environment with these variables alone. */
export function environmentOf(variables: Record<string, string>): Environment {
  return { get: (name) => variables[name] };
}

/** Progress that is kept in a list of lines. */
export function listedProgress(): Progress & { lines: string[] } {
  const lines: string[] = [];
  return { lines, say: (text) => void lines.push(text), step: () => {} };
}

/** Runs a test body with a new folder that is removed afterwards. */
export async function withFolder(body: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "stec-setup-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Writes files, by their path in `folder`. */
export function writeFiles(folder: string, files: Record<string, string | Uint8Array>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    Deno.mkdirSync(dirname(path), { recursive: true });
    Deno.writeFileSync(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
  }
}

/** The files of a libtorch that only looks like one. */
export function libtorchFiles(version = "2.13.0"): Record<string, string | Uint8Array> {
  return {
    "version.py": `__version__ = '${version}+cpu'\n`,
    "include/ATen/ATen.h": "#pragma once\n",
    "lib/libtorch_cpu.so": "no library",
    "lib/libc10.so": "no library, but __cxx1112basic_string",
  };
}

let linkable: Promise<Record<string, string | Uint8Array>> | undefined;

/** The same with libraries that can be linked to. */
export function linkableLibtorchFiles(): Promise<Record<string, string | Uint8Array>> {
  return linkable ??= compileLibtorch();
}

async function compileLibtorch(): Promise<Record<string, string | Uint8Array>> {
  const files = libtorchFiles();
  await withFolder(async (folder) => {
    // The name makes a C++ symbol with std::string, as libc10.so has many.
    writeFiles(folder, { "c10.cpp": "#include <string>\nvoid probe(std::string) {}\n" });
    const library = join(folder, "libc10.so");
    const args = ["-shared", "-fPIC", join(folder, "c10.cpp"), "-o", library];
    const { success } = await new Deno.Command("c++", { args }).output();
    if (!success) throw new Error("Cannot compile a stand-in for libtorch");
    for (const name of ["lib/libc10.so", "lib/libtorch_cpu.so"]) files[name] = Deno.readFileSync(library);
  });
  return files;
}

/** A zip archive whose members are deflated, as in a wheel. */
export function zipOf(files: Record<string, string | Uint8Array>): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const table: Uint8Array[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const path = new TextEncoder().encode(name);
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const packed = deflateRawSync(bytes);
    const common = new DataView(new ArrayBuffer(26));
    common.setUint16(4, 8, true);
    common.setUint32(10, crc32(bytes), true);
    common.setUint32(14, packed.length, true);
    common.setUint32(18, bytes.length, true);
    common.setUint16(22, path.length, true);
    const fields = new Uint8Array(common.buffer);
    const place = new Uint8Array(new Uint32Array([offset]).buffer);
    table.push(bytesOf(0x02014b50), new Uint8Array(2), fields, new Uint8Array(10), place, path);
    parts.push(bytesOf(0x04034b50), fields, path, packed);
    offset += 30 + path.length + packed.length;
  }
  const end = new DataView(new ArrayBuffer(18));
  const count = Object.keys(files).length;
  const tableLength = table.reduce((sum, part) => sum + part.length, 0);
  end.setUint16(4, count, true);
  end.setUint16(6, count, true);
  end.setUint32(8, tableLength, true);
  end.setUint32(12, offset, true);
  const all = [...parts, ...table, bytesOf(0x06054b50), new Uint8Array(end.buffer)];
  const archive = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of all) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}

function bytesOf(signature: number): Uint8Array {
  return new Uint8Array(new Uint32Array([signature]).buffer);
}

/** The files of a wheel of torch: the libtorch that `files` make up, and what a wheel holds besides. */
export function torchWheel(files: Record<string, string | Uint8Array>): Uint8Array<ArrayBuffer> {
  const torch = Object.entries(files).map(([name, content]) => [`torch/${name}`, content]);
  return zipOf({
    ...Object.fromEntries(torch),
    "torch/__init__.py": "",
    "torch/lib/libtorch_python.so": "",
    "torch-2.13.0.dist-info/METADATA": "Name: torch\nRequires-Dist: sympy\n",
  });
}

/**
 * Makes a program that passes for Python as far as `-m pip download` goes: it serves `wheel` and notes in the file `calls`
 * when it begins and ends. It waits while there is a file `hold`.
 */
export function writeFakePip(folder: string, wheel: Uint8Array): string {
  const python = join(folder, "python");
  const script = `#!/bin/sh
echo begin >> "${folder}/calls"
while [ -e "${folder}/hold" ]; do sleep 0.02; done
while [ "$1" != --dest ]; do shift; done
mkdir -p "$2"
cp "${folder}/torch.whl" "$2"
echo end >> "${folder}/calls"
`;
  writeFiles(folder, { "torch.whl": wheel, python: script });
  Deno.chmodSync(python, 0o755);
  return python;
}

/** Makes a repository with the set-up itself and one small source. */
export function writeRepository(folder: string): void {
  const parts = [
    "src/setup",
    "src/files",
    "src/zip",
    "src/base/errors.ts",
    "src/base/printable.ts",
    "src/config/terminal.ts",
  ];
  for (const name of [...parts, "scripts/setup.ts", "scripts/arguments.ts"]) {
    copy(join(REPOSITORY, name), join(folder, name));
  }
  writeFiles(folder, {
    "deno.json": "{}",
    "native/stec.h": "#define ANSWER 42\n",
    "native/answer.cpp": '#include <ATen/ATen.h>\n#include "stec.h"\n' +
      'extern "C" __attribute__((visibility("default"))) int answer() { return ANSWER; }\n',
    "native/other.cpp": "int other() { return 1; }\n",
  });
}

function copy(from: string, to: string): void {
  Deno.mkdirSync(dirname(to), { recursive: true });
  if (!Deno.statSync(from).isDirectory) return Deno.copyFileSync(from, to);
  for (const { name } of Deno.readDirSync(from)) copy(join(from, name), join(to, name));
}

/** Starts the set-up of a repository as a process of its own, with these variables alone and without the network. */
export function startSetup(repository: string, variables: Record<string, string>): Deno.ChildProcess {
  const permissions = ["--allow-read", "--allow-write", "--allow-run", "--allow-env"];
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...permissions, join(repository, "scripts/setup.ts")],
    clearEnv: true,
    env: { NO_COLOR: "1", STEC_CUDA: "0", ...variables },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Waits for a set-up: its exit status and what it said. */
export async function endOf(setup: Deno.ChildProcess): Promise<{ code: number; said: string }> {
  const { code, stderr } = await setup.output();
  return { code, said: new TextDecoder().decode(stderr) };
}
