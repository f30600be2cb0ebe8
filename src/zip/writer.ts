/**
 * Writes zip archives as PyTorch does: stored entries whose data begin at multiples of 64 bytes, zip64 where it is needed,
 * in one pass.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import { writeFully } from "../files/atomic.ts";
import {
  CENTRAL_HEADER,
  DATA_DESCRIPTOR,
  END,
  FLAGS,
  FULL_16,
  FULL_32,
  LENGTHS,
  LOCAL_HEADER,
  METHODS,
  PIECE_BYTES,
  ZIP64_END,
  ZIP64_EXTRA,
  ZIP64_LOCATOR,
} from "./format.ts";

/** What the directory at the archive's end will say of a written entry. */
interface WrittenEntry {
  readonly name: Uint8Array;
  readonly offset: number;
  readonly size: number;
  readonly crc: number;
}

/** PyTorch lets the data of every entry begin at a multiple of this, so that files can be mapped into memory. */
const ALIGNMENT = 64;

/** Writes an archive of stored entries in one pass, to the end of a file. */
export class ZipWriter {
  readonly #file: Deno.FsFile;
  readonly #zip64From: number;
  readonly #entries: WrittenEntry[] = [];
  /** Headers and small entries are collected here, so that they do not cost a system call each. */
  readonly #pending = new Uint8Array(1 << 16);
  #pendingLength = 0;
  #position = 0;

  /**
   * Starts an archive.
   *
   * @param file an empty file, open for writing
   * @param zip64From sizes and places from here on go into zip64 fields; other than the default only to test those
   */
  constructor(file: Deno.FsFile, zip64From: number = FULL_32) {
    this.#file = file;
    this.#zip64From = zip64From;
  }

  /** Writes an entry whose bytes come in pieces, `size` in all. */
  add(name: string, size: number, pieces: Iterable<Uint8Array>): void {
    const encoded = new TextEncoder().encode(name), offset = this.#position;
    this.#write(localHeader(encoded, offset, size >= this.#zip64From));
    let crc = 0, written = 0;
    for (const piece of pieces) {
      for (let at = 0; at < piece.length; at += PIECE_BYTES) {
        const part = piece.subarray(at, at + PIECE_BYTES);
        crc = crc32(part, crc);
        this.#write(part);
      }
      written += piece.length;
    }
    if (written !== size) {
      throw new RangeError(`${name} should have ${size} bytes, its source gave ${written}`);
    }
    this.#write(dataDescriptor(crc, size, size >= this.#zip64From));
    this.#entries.push({ name: encoded, offset, size, crc });
  }

  /** Writes the directory. Nothing can be added afterwards. */
  finish(): void {
    const start = this.#position;
    for (const entry of this.#entries) this.#write(centralHeader(entry, this.#zip64From));
    const size = this.#position - start, end = this.#position, count = this.#entries.length;
    this.#write(zip64End(count, size, start));
    this.#write(zip64Locator(end));
    this.#write(endRecord(count, size, start, this.#zip64From));
    this.#flush();
  }

  #write(bytes: Uint8Array): void {
    this.#position += bytes.length;
    if (this.#pendingLength + bytes.length > this.#pending.length) this.#flush();
    if (bytes.length > this.#pending.length) {
      writeFully(this.#file, bytes);
      return;
    }
    this.#pending.set(bytes, this.#pendingLength);
    this.#pendingLength += bytes.length;
  }

  #flush(): void {
    writeFully(this.#file, this.#pending.subarray(0, this.#pendingLength));
    this.#pendingLength = 0;
  }
}

/** Little-endian fields, each with its length in bytes. */
function fields(...list: readonly (readonly [bytes: 2 | 4 | 8, value: number])[]): Uint8Array {
  let length = 0;
  for (const [bytes] of list) length += bytes;
  const fields = new Uint8Array(length);
  let at = 0;
  for (const [bytes, value] of list) {
    let rest = value;
    for (let i = 0; i < bytes; i++) {
      fields[at++] = rest % 0x100;
      rest = Math.floor(rest / 0x100);
    }
  }
  return fields;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** 1980-01-01, as reproducible archives have it: the same weights give the same file. */
const DATE: readonly [4, number] = [4, 0x00210000];
const ENTRY_FLAGS = FLAGS.descriptorFollows | FLAGS.utf8;

/** The header before the data, padded (as PyTorch does it) so that these begin at a multiple of {@linkcode ALIGNMENT}. */
function localHeader(name: Uint8Array, position: number, zip64: boolean): Uint8Array {
  const extra = zip64 ? fields([2, ZIP64_EXTRA], [2, 16], [8, 0], [8, 0]) : new Uint8Array();
  const unpadded = position + LENGTHS.localHeader + name.length + extra.length + 4;
  const padding = (ALIGNMENT - unpadded % ALIGNMENT) % ALIGNMENT;
  const size = zip64 ? FULL_32 : 0;
  return joined(
    fields([4, LOCAL_HEADER], [2, zip64 ? 45 : 20], [2, ENTRY_FLAGS], [2, METHODS.stored], DATE, [4, 0], [
      4,
      size,
    ], [
      4,
      size,
    ]),
    fields([2, name.length], [2, extra.length + 4 + padding]),
    name,
    extra,
    new TextEncoder().encode("FB"),
    fields([2, padding]),
    new Uint8Array(padding).fill(0x5a),
  );
}

function dataDescriptor(crc: number, size: number, zip64: boolean): Uint8Array {
  const width = zip64 ? 8 : 4;
  return fields([4, DATA_DESCRIPTOR], [4, crc], [width, size], [width, size]);
}

function centralHeader({ name, offset, size, crc }: WrittenEntry, zip64From: number): Uint8Array {
  const large = size >= zip64From, far = offset >= zip64From;
  const numbers: [8, number][] = [];
  if (large) numbers.push([8, size], [8, size]);
  if (far) numbers.push([8, offset]);
  const extra = numbers.length > 0
    ? fields([2, ZIP64_EXTRA], [2, 8 * numbers.length], ...numbers)
    : new Uint8Array();
  const shownSize = large ? FULL_32 : size;
  const version = numbers.length > 0 ? 45 : 20;
  return joined(
    fields([4, CENTRAL_HEADER], [2, version], [2, version], [2, ENTRY_FLAGS], [2, METHODS.stored], DATE, [
      4,
      crc,
    ]),
    fields([4, shownSize], [4, shownSize], [2, name.length], [2, extra.length], [2, 0], [2, 0], [2, 0], [
      4,
      0,
    ]),
    fields([4, far ? FULL_32 : offset]),
    name,
    extra,
  );
}

function zip64End(count: number, size: number, start: number): Uint8Array {
  return fields(
    [4, ZIP64_END],
    [8, LENGTHS.zip64End - 12],
    [2, 45],
    [2, 45],
    [4, 0],
    [4, 0],
    [8, count],
    [8, count],
    [8, size],
    [8, start],
  );
}

function zip64Locator(recordAt: number): Uint8Array {
  return fields([4, ZIP64_LOCATOR], [4, 0], [8, recordAt], [4, 1]);
}

function endRecord(count: number, size: number, start: number, zip64From: number): Uint8Array {
  const shownCount = Math.min(count, FULL_16);
  const [shownSize, shownStart] = [size, start].map((n) => n >= zip64From ? FULL_32 : n);
  return fields([4, END], [2, 0], [2, 0], [2, shownCount], [2, shownCount], [4, shownSize], [4, shownStart], [
    2,
    0,
  ]);
}
