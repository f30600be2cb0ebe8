/**
 * Reads zip archives, going to the places wanted in an open file and checking every entry's CRC-32 on the way. Nothing is
 * ever unpacked to disk.
 *
 * @module
 */

import { crc32, inflateRawSync } from "node:zlib";
import { messageOf } from "../base/errors.ts";
import type { ByteFile } from "../files/byte_file.ts";
import { brief } from "../checkpoint/brief.ts";
import type { Storage } from "../checkpoint/stored_tensor.ts";
import {
  CENTRAL_HEADER,
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

/** What is made of a small file may take this much even where that is more than the file. */
const SMALL_BYTES = 1 << 20;

/** What an entry takes in memory, and what all of them may take of a small file; of others four times the file. */
const ENTRY_MEMORY = 800, MIN_MEMORY = 16 << 20;

/** An entry as the archive's directory has it. */
interface DirectoryEntry {
  readonly name: string;
  readonly nameBytes: number;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly compressedSize: number;
  readonly size: number;
  readonly headerOffset: number;
  /** Where the next entry, or the directory, begins; known when all entries are. */
  limit: number;
}

/** One entry of an open archive. Its CRC is checked, once, by {@linkcode ZipEntry.verify}. */
export class ZipEntry implements Storage {
  readonly #file: ByteFile;
  readonly #entry: DirectoryEntry;
  #dataStart = -1;
  /** So many bytes from the front have entered the running checksum. */
  #summed = 0;
  #crc = 0;
  #inflated: Uint8Array | undefined;
  #hasInflated = false;

  /** Made by {@linkcode readZip} only. */
  constructor(file: ByteFile, entry: DirectoryEntry) {
    this.#file = file;
    this.#entry = entry;
  }

  /** The entry's name. */
  get key(): string {
    return this.#entry.name;
  }

  /** Its length when unpacked. */
  get byteLength(): number {
    return this.#entry.size;
  }

  /** See {@linkcode Storage}: the whole file's length, or a megabyte where that is more. */
  get tensorLimit(): number {
    return Math.max(this.#file.size, SMALL_BYTES);
  }

  /** The whole entry, checked. */
  read(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.byteLength);
    this.readInto(0, bytes);
    this.verify();
    return bytes;
  }

  /** Fills `target` with the bytes from `offset` on. What is read in order from the front is summed on the way. */
  readInto(offset: number, target: Uint8Array): void {
    if (this.#entry.method === METHODS.deflated) {
      target.set((this.#inflated ??= this.#inflate()).subarray(offset, offset + target.length));
      return;
    }
    const start = this.#locate();
    for (let done = 0; done < target.length; done += PIECE_BYTES) {
      const piece = target.subarray(done, done + PIECE_BYTES);
      this.#file.readInto(start + offset + done, piece);
      if (offset + done === this.#summed) this.#sum(piece);
    }
  }

  /** Sums what has not been read yet, and throws where the entry is not what was written. */
  verify(): void {
    if (this.#entry.method === METHODS.deflated) {
      if (!this.#hasInflated) this.#inflate();
      this.#inflated = undefined;
      return;
    }
    const left = this.byteLength - this.#summed;
    if (left > 0) {
      const start = this.#locate(), buffer = new Uint8Array(Math.min(left, PIECE_BYTES));
      while (this.#summed < this.byteLength) {
        const piece = buffer.subarray(0, this.byteLength - this.#summed);
        this.#file.readInto(start + this.#summed, piece);
        this.#sum(piece);
      }
    }
    this.#checkCrc(this.#crc);
  }

  #sum(piece: Uint8Array): void {
    this.#crc = crc32(piece, this.#crc);
    this.#summed += piece.length;
  }

  #checkCrc(crc: number): void {
    if (crc !== this.#entry.crc) {
      const hex = (n: number) => n.toString(16).padStart(8, "0");
      throw new Error(
        `Cannot read ${brief(this.key)} of ${this.#file.path}: it is damaged, its checksum is ${
          hex(crc)
        }, should be ${hex(this.#entry.crc)}`,
      );
    }
  }

  /** Unpacks a deflated entry, which PyTorch never writes but other tools do. */
  #inflate(): Uint8Array {
    const start = this.#locate();
    let bytes: Uint8Array;
    try {
      bytes = inflateRawSync(this.#file.read(start, this.#entry.compressedSize), {
        maxOutputLength: Math.max(this.byteLength, 1),
      });
    } catch (thrown) {
      throw new Error(`Cannot unpack ${brief(this.key)} of ${this.#file.path}: ${messageOf(thrown)}`, {
        cause: thrown,
      });
    }
    if (bytes.length !== this.byteLength) {
      throw new RangeError(
        `Cannot unpack ${
          brief(this.key)
        } of ${this.#file.path}: it has ${bytes.length} bytes, should have ${this.byteLength}`,
      );
    }
    this.#checkCrc(crc32(bytes));
    this.#hasInflated = true;
    return bytes;
  }

  /** Where the data begin: after the local header, whose length only the local header says. */
  #locate(): number {
    if (this.#dataStart >= 0) return this.#dataStart;
    const { headerOffset, compressedSize, limit } = this.#entry;
    const refuse = (why: string) =>
      new RangeError(`Cannot read ${brief(this.key)} of ${this.#file.path}: ${why}`);
    const header = viewOf(this.#file.read(headerOffset, LENGTHS.localHeader));
    if (header.getUint32(0, true) !== LOCAL_HEADER) throw refuse(`there is no entry at ${headerOffset}`);
    const nameLength = header.getUint16(26, true), extraLength = header.getUint16(28, true);
    const start = headerOffset + LENGTHS.localHeader + nameLength + extraLength;
    if (start + compressedSize > limit) {
      throw refuse(`its ${compressedSize} bytes from ${start} on overlap what begins at ${limit}`);
    }
    const name = decode(this.#file.read(headerOffset + LENGTHS.localHeader, nameLength));
    if (name !== this.key) {
      throw refuse(`the entry at ${headerOffset} is called ${brief(JSON.stringify(name))}`);
    }
    this.#dataStart = start;
    return start;
  }
}

/**
 * The entries of an archive by name, in the directory's order. Overlapping entries, encryption, unknown
 * compressions and entries that would unpack to more than the whole file (zip bombs) are refused.
 */
export function readZip(file: ByteFile): Map<string, ZipEntry> {
  const refuse = (why: string) => new RangeError(`Cannot read ${file.path} as a zip archive: ${why}`);
  const directory = findDirectory(file, refuse);
  const found = parseDirectory(file, directory, refuse);
  found.sort((a, b) => a.headerOffset - b.headerOffset);
  const entries = new Map<string, ZipEntry>();
  for (const [i, each] of found.entries()) {
    each.limit = i + 1 < found.length ? found[i + 1].headerOffset : directory.offset;
    checkEntry(each, file.size, refuse);
    if (entries.has(each.name)) {
      throw refuse(`it has two entries called ${brief(JSON.stringify(each.name))}`);
    }
    entries.set(each.name, new ZipEntry(file, each));
  }
  return entries;
}

type Refuse = (why: string) => RangeError;

interface Directory {
  readonly count: number;
  readonly size: number;
  readonly offset: number;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** A 64-bit size or offset; inexact where it is too large to be one, which later checks then refuse. */
function getUint64(view: DataView, offset: number): number {
  return Number(view.getBigUint64(offset, true));
}

/** Finds the directory from the record at the archive's end, which only a comment may follow. */
function findDirectory(file: ByteFile, refuse: Refuse): Directory {
  const tailBytes = Math.min(file.size, LENGTHS.end + FULL_16);
  const tailStart = file.size - tailBytes;
  const tail = viewOf(file.read(tailStart, tailBytes));
  for (let at = tailBytes - LENGTHS.end; at >= 0; at--) {
    if (tail.getUint32(at, true) !== END) continue;
    if (at + LENGTHS.end + tail.getUint16(at + 20, true) !== tailBytes) continue;
    const directory = readEnd(file, tail, at, tailStart + at, refuse);
    const { count, size, offset } = directory;
    if (offset + size > tailStart + at || count * LENGTHS.centralHeader > size) {
      throw refuse(`a directory of ${count} entries in ${size} bytes at ${offset} does not fit`);
    }
    if (count * ENTRY_MEMORY > Math.max(4 * file.size, MIN_MEMORY)) {
      throw refuse(`a directory of ${count} entries is more than a file of ${file.size} bytes needs`);
    }
    return directory;
  }
  throw refuse("its directory is missing, the file seems to be cut off");
}

function readEnd(file: ByteFile, tail: DataView, at: number, position: number, refuse: Refuse): Directory {
  const disk = tail.getUint16(at + 4, true);
  const count = tail.getUint16(at + 10, true);
  const size = tail.getUint32(at + 12, true), offset = tail.getUint32(at + 16, true);
  if (count === FULL_16 || size === FULL_32 || offset === FULL_32) {
    return readZip64End(file, position, refuse);
  }
  if (disk !== 0 || tail.getUint16(at + 8, true) !== count) throw refuse("it is one part of several");
  return { count, size, offset };
}

function readZip64End(file: ByteFile, endPosition: number, refuse: Refuse): Directory {
  const locatorAt = endPosition - LENGTHS.zip64Locator;
  if (locatorAt < 0) throw refuse("its zip64 record is missing");
  const locator = viewOf(file.read(locatorAt, LENGTHS.zip64Locator));
  const recordAt = getUint64(locator, 8);
  if (locator.getUint32(0, true) !== ZIP64_LOCATOR || recordAt + LENGTHS.zip64End > locatorAt) {
    throw refuse("its zip64 record is missing");
  }
  const record = viewOf(file.read(recordAt, LENGTHS.zip64End));
  if (record.getUint32(0, true) !== ZIP64_END) throw refuse("its zip64 record is missing");
  if (record.getUint32(16, true) !== 0) throw refuse("it is one part of several");
  return { count: getUint64(record, 32), size: getUint64(record, 40), offset: getUint64(record, 48) };
}

function parseDirectory(file: ByteFile, directory: Directory, refuse: Refuse): DirectoryEntry[] {
  const bytes = file.read(directory.offset, directory.size);
  const view = viewOf(bytes);
  const found: DirectoryEntry[] = [];
  let at = 0;
  for (let i = 0; i < directory.count; i++) {
    if (at + LENGTHS.centralHeader > bytes.length || view.getUint32(at, true) !== CENTRAL_HEADER) {
      throw refuse(`entry ${i} of its directory is broken`);
    }
    const nameBytes = view.getUint16(at + 28, true), extraBytes = view.getUint16(at + 30, true);
    const nameAt = at + LENGTHS.centralHeader, extraAt = nameAt + nameBytes;
    const next = extraAt + extraBytes + view.getUint16(at + 32, true);
    if (next > bytes.length) throw refuse(`entry ${i} of its directory is broken`);
    found.push({
      name: decode(bytes.subarray(nameAt, extraAt)),
      nameBytes,
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      ...readSizes(view, at, extraAt, extraAt + extraBytes, refuse),
      limit: 0,
    });
    at = next;
  }
  return found;
}

/** An entry's sizes and place; those that do not fit into 32 bits follow, in this order, in the zip64 extra field. */
function readSizes(
  view: DataView,
  at: number,
  extraStart: number,
  extraEnd: number,
  refuse: Refuse,
): Pick<DirectoryEntry, "size" | "compressedSize" | "headerOffset"> {
  let [next, end] = findExtra(view, extraStart, extraEnd);
  const field = (offset: number): number => {
    const value = view.getUint32(at + offset, true);
    if (value !== FULL_32) return value;
    if (next + 8 > end) throw refuse("an entry's zip64 sizes are missing");
    next += 8;
    return getUint64(view, next - 8);
  };
  return { size: field(24), compressedSize: field(20), headerOffset: field(42) };
}

/** Where the zip64 extra field's contents are: empty where there is none. */
function findExtra(view: DataView, start: number, end: number): [start: number, end: number] {
  for (let at = start; at + 4 <= end;) {
    const contents = at + 4, next = contents + view.getUint16(at + 2, true);
    if (next > end) break;
    if (view.getUint16(at, true) === ZIP64_EXTRA) return [contents, next];
    at = next;
  }
  return [end, end];
}

function checkEntry(entry: DirectoryEntry, fileSize: number, refuse: Refuse): void {
  const { name, method, size, compressedSize, headerOffset, limit } = entry;
  const called = brief(JSON.stringify(name));
  if (entry.flags & FLAGS.encrypted) throw refuse(`${called} is encrypted`);
  if (method !== METHODS.stored && method !== METHODS.deflated) {
    throw refuse(`${called} has the unknown compression ${method}`);
  }
  if (headerOffset + LENGTHS.localHeader + entry.nameBytes + compressedSize > limit) {
    throw refuse(
      `${called} with ${compressedSize} bytes at ${headerOffset} overlaps what begins at ${limit}`,
    );
  }
  if (method === METHODS.stored && size !== compressedSize) {
    throw refuse(`${called} has ${compressedSize} bytes but claims ${size}`);
  }
  if (size > Math.max(fileSize, SMALL_BYTES)) {
    throw refuse(
      `${called} would unpack to ${size} bytes, more than the whole file of ${fileSize} (a zip bomb)`,
    );
  }
}
