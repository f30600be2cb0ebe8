/**
 * Unpacks chosen members of a zip archive to the disk; wheels are zip archives. Members of any size pass through as
 * streams, for libtorch's libraries are larger than the memory that a small machine could spare.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { crc32, inflateRawSync } from "node:zlib";
import { writeFully } from "../files/atomic.ts";
import { ByteFile } from "../files/byte_file.ts";
import { END, FULL_16, FULL_32, LENGTHS, METHODS, ZIP64_EXTRA, ZIP64_LOCATOR } from "../zip/format.ts";
import { messageOf } from "../base/errors.ts";

interface Member {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly packed: number;
  readonly size: number;
  readonly offset: number;
}

/** Members up to this size are unpacked in one call, larger ones as a stream. */
const SMALL = 1 << 20;

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Where the table of members lies: its offset and its length in bytes. */
function findTable(file: ByteFile): [number, number] {
  const start = Math.max(0, file.size - LENGTHS.end - FULL_16);
  const tail = view(file.read(start, file.size - start));
  for (let at = tail.byteLength - LENGTHS.end; at >= 0; at--) {
    if (tail.getUint32(at, true) !== END) continue;
    const locator = at - LENGTHS.zip64Locator;
    if (locator < 0 || tail.getUint32(locator, true) !== ZIP64_LOCATOR) {
      return [tail.getUint32(at + 16, true), tail.getUint32(at + 12, true)];
    }
    const end = view(file.read(Number(tail.getBigUint64(locator + 8, true)), LENGTHS.zip64End));
    return [Number(end.getBigUint64(48, true)), Number(end.getBigUint64(40, true))];
  }
  throw new Error("it is no zip archive, or it is cut off");
}

/** The 64-bit values of a member whose 32-bit fields are all ones. */
function wideValues(extra: DataView): number[] {
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + extra.getUint16(at + 2, true)) {
    if (extra.getUint16(at, true) !== ZIP64_EXTRA) continue;
    const count = Math.floor(extra.getUint16(at + 2, true) / 8);
    return Array.from({ length: count }, (_, i) => Number(extra.getBigUint64(at + 4 + 8 * i, true)));
  }
  return [];
}

function readMembers(file: ByteFile): Member[] {
  const table = file.read(...findTable(file));
  const data = view(table);
  const members: Member[] = [];
  for (let at = 0; at + LENGTHS.centralHeader <= table.length;) {
    const nameLength = data.getUint16(at + 28, true);
    const extraLength = data.getUint16(at + 30, true);
    const extraAt = at + LENGTHS.centralHeader + nameLength;
    const wide = wideValues(view(table.subarray(extraAt, extraAt + extraLength)));
    const field = (offset: number) => {
      const value = data.getUint32(at + offset, true);
      return value === FULL_32 ? wide.shift() ?? value : value;
    };
    members.push({
      name: new TextDecoder().decode(table.subarray(extraAt - nameLength, extraAt)),
      method: data.getUint16(at + 10, true),
      crc: data.getUint32(at + 16, true),
      // In the order of the 64-bit values.
      size: field(24),
      packed: field(20),
      offset: field(42),
    });
    at = extraAt + extraLength + data.getUint16(at + 32, true);
  }
  return members;
}

function packedStream(file: ByteFile, start: number, length: number): ReadableStream<BufferSource> {
  let done = 0;
  return new ReadableStream({
    pull(controller) {
      if (done === length) return controller.close();
      const chunk = file.read(start + done, Math.min(SMALL, length - done));
      done += chunk.length;
      controller.enqueue(chunk);
    },
  });
}

async function* contents(file: ByteFile, member: Member): AsyncGenerator<Uint8Array> {
  if (member.method !== METHODS.stored && member.method !== METHODS.deflated) {
    throw new Error(`${member.name} is packed by method ${member.method}, which is not supported`);
  }
  const local = view(file.read(member.offset, LENGTHS.localHeader));
  const start = member.offset + LENGTHS.localHeader + local.getUint16(26, true) + local.getUint16(28, true);
  if (member.size <= SMALL) {
    const packed = file.read(start, member.packed);
    yield member.method === METHODS.stored ? packed : inflateRawSync(packed);
    return;
  }
  const packed = packedStream(file, start, member.packed);
  yield* member.method === METHODS.stored
    ? packed as ReadableStream<Uint8Array>
    : packed.pipeThrough(new DecompressionStream("deflate-raw"));
}

async function unpackMember(file: ByteFile, member: Member, path: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  using output = await Deno.open(path, { write: true, create: true, truncate: true });
  let crc = 0;
  let size = 0;
  for await (const chunk of contents(file, member)) {
    crc = crc32(chunk, crc);
    size += chunk.length;
    writeFully(output, chunk);
  }
  if (size !== member.size || crc !== member.crc) throw new Error(`${member.name} is damaged`);
}

/**
 * Unpacks the members of `archive` that `wanted` chooses into `folder`.
 *
 * @param onProgress Called with the share, 0 to 1, that is done.
 */
export async function unzip(
  archive: string,
  folder: string,
  wanted: (name: string) => boolean = () => true,
  onProgress: (share: number) => void = () => {},
): Promise<void> {
  try {
    using file = new ByteFile(archive);
    const members = readMembers(file).filter((member) => !member.name.endsWith("/") && wanted(member.name));
    const total = members.reduce((sum, member) => sum + member.size, 0);
    let done = 0;
    for (const member of members) {
      if (member.name.startsWith("/") || member.name.split("/").includes("..")) {
        throw new Error(`${member.name} would lie outside of the folder`);
      }
      await unpackMember(file, member, join(folder, member.name));
      done += member.size;
      onProgress(done / Math.max(total, 1));
    }
  } catch (error) {
    throw new Error(`Cannot unpack ${archive}: ${messageOf(error)}`);
  }
}

/** The text of the first member that `wanted` chooses, `null` where there is none. */
export async function readMember(archive: string, wanted: (name: string) => boolean): Promise<string | null> {
  using file = new ByteFile(archive);
  const member = readMembers(file).find((member) => wanted(member.name));
  if (member === undefined) return null;
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of contents(file, member)) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}
