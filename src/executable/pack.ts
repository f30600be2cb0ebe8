/**
 * Packs files behind the start-up, in the form that `archive.h` describes.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { writeAtomically, writeFully } from "../files/atomic.ts";
import type { ContentFile } from "./content.ts";

/** What an executable does. */
export interface Program {
  /** The start-up, compiled. */
  readonly start: Uint8Array;
  /** The script that only understands command lines. */
  readonly parser: Uint8Array;
  /** Deno's arguments for each command; those of the empty name serve all others. */
  readonly commands: ReadonlyMap<string, readonly string[]>;
  /** What is unpacked. One of the files is `deno`. */
  readonly files: readonly ContentFile[];
  /** Whether libtorch is the user's. */
  readonly external: boolean;
}

/** How to pack. */
export interface PackOptions {
  /** zstd's level. */
  readonly level: number;
  /** Hears which share of the files is packed. */
  readonly onProgress?: (share: number) => void;
}

/** Writes an executable, whole or not at all. Returns its size in bytes. */
export function pack(output: string, program: Program, { level, onProgress }: PackOptions): number {
  let size = 0;
  const temporary = `${output}.tmp-${Deno.pid}`;
  writeAtomically(output, (file) => {
    const append = (bytes: Uint8Array) => {
      writeFully(file, bytes);
      size += bytes.length;
    };
    const frame = (bytes: Uint8Array): string => {
      const packed = compress(bytes, level), place = `${size}\t${packed.length}`;
      append(packed);
      return place;
    };
    append(program.start);
    const index = indexOf(program, frame, onProgress);
    const [at, length] = frame(new TextEncoder().encode(index)).split("\t");
    append(new Uint8Array(new BigUint64Array([BigInt(at), BigInt(length), BigInt(size + 32)]).buffer));
    append(new TextEncoder().encode("STECPACK"));
    Deno.chmodSync(temporary, 0o755);
  }, temporary);
  return size;
}

/** The index. `frame` writes bytes and says where. */
function indexOf(
  { parser, commands, files, external }: Program,
  frame: (bytes: Uint8Array) => string,
  onProgress: (share: number) => void = () => {},
): string {
  const lines = [`parser\t${frame(parser)}`, ...external ? ["external"] : []];
  for (const [name, args] of commands) lines.push(["command", name, ...args].join("\t"));
  const hash = createHash("sha256");
  files.forEach(({ path, source, executable }, i) => {
    const bytes = typeof source === "string" ? Deno.readFileSync(source) : source;
    const mode = executable ? "755" : "644";
    hash.update(`${path}\0${mode}\0${bytes.length}\0`).update(bytes);
    lines.push(["file", mode, bytes.length, frame(bytes), path].join("\t"));
    onProgress((i + 1) / files.length);
  });
  const odd = lines.find((line) => line.includes("\n"));
  if (odd !== undefined) throw new Error(`Cannot pack ${JSON.stringify(odd)}: it has a line break`);
  return [`key\t${hash.digest("hex").slice(0, 32)}`, ...lines, ""].join("\n");
}

/** One zstd frame, with a checksum. */
export function compress(bytes: Uint8Array, level: number): Uint8Array {
  return zstdCompressSync(bytes, {
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
}
