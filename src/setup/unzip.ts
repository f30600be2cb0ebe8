/**
 * Unpacks chosen members of a zip archive of any size; wheels are zip archives.
 *
 * Format: APPNOTE.TXT of PKWARE, with its 64-bit extension (sections 4.3.7 to 4.3.16).
 *
 * @module
 */

import { dirname, join } from "node:path";
import { crc32, inflateRawSync } from "node:zlib";
import { messageOf } from "../errors.ts";

interface Member {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly packed: number;
  readonly size: number;
  readonly offset: number;
}

const STORED = 0;
const DEFLATED = 8;
/** Members up to this size are unpacked in one call, larger ones as a stream. */
const SMALL = 1 << 20;

async function readAt(file: Deno.FsFile, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  await file.seek(offset, Deno.SeekMode.Start);
  for (let filled = 0; filled < length;) {
    const count = await file.read(bytes.subarray(filled));
    if (count === null) throw new Error("the archive is cut off");
    filled += count;
  }
  return bytes;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Where the table of members lies: its offset and its length in bytes. */
async function findTable(file: Deno.FsFile): Promise<[number, number]> {
  const { size } = await file.stat();
  const start = Math.max(0, size - 22 - 65535);
  const tail = view(await readAt(file, start, size - start));
  for (let at = tail.byteLength - 22; at >= 0; at--) {
    if (tail.getUint32(at, true) !== 0x06054b50) continue;
    const locator = at - 20;
    if (locator < 0 || tail.getUint32(locator, true) !== 0x07064b50) {
      return [tail.getUint32(at + 16, true), tail.getUint32(at + 12, true)];
    }
    const end = view(await readAt(file, Number(tail.getBigUint64(locator + 8, true)), 56));
    return [Number(end.getBigUint64(48, true)), Number(end.getBigUint64(40, true))];
  }
  throw new Error("it is no zip archive, or it is cut off");
}

/** The 64-bit values of a member whose 32-bit fields are all ones. */
function wideValues(extra: DataView): number[] {
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + extra.getUint16(at + 2, true)) {
    if (extra.getUint16(at, true) !== 1) continue;
    const count = Math.floor(extra.getUint16(at + 2, true) / 8);
    return Array.from({ length: count }, (_, i) => Number(extra.getBigUint64(at + 4 + 8 * i, true)));
  }
  return [];
}

async function readMembers(file: Deno.FsFile): Promise<Member[]> {
  const table = await readAt(file, ...await findTable(file));
  const data = view(table);
  const members: Member[] = [];
  for (let at = 0; at + 46 <= table.length;) {
    const nameLength = data.getUint16(at + 28, true);
    const extraLength = data.getUint16(at + 30, true);
    const name = table.subarray(at + 46, at + 46 + nameLength);
    const extra = table.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength);
    const wide = wideValues(view(extra));
    const field = (offset: number) => {
      const value = data.getUint32(at + offset, true);
      return value === 0xffffffff ? wide.shift() ?? value : value;
    };
    members.push({
      name: new TextDecoder().decode(name),
      method: data.getUint16(at + 10, true),
      crc: data.getUint32(at + 16, true),
      // The order matters: the 64-bit values stand in the order size, packed size, offset.
      size: field(24),
      packed: field(20),
      offset: field(42),
    });
    at += 46 + nameLength + extraLength + data.getUint16(at + 32, true);
  }
  return members;
}

function packedStream(file: Deno.FsFile, start: number, length: number): ReadableStream<BufferSource> {
  let done = 0;
  return new ReadableStream({
    async pull(controller) {
      if (done === length) return controller.close();
      const chunk = await readAt(file, start + done, Math.min(SMALL, length - done));
      done += chunk.length;
      controller.enqueue(chunk);
    },
  });
}

async function* contents(file: Deno.FsFile, member: Member): AsyncGenerator<Uint8Array> {
  if (member.method !== STORED && member.method !== DEFLATED) {
    throw new Error(`${member.name} is packed by method ${member.method}, which is not supported`);
  }
  const local = view(await readAt(file, member.offset, 30));
  const start = member.offset + 30 + local.getUint16(26, true) + local.getUint16(28, true);
  if (member.size <= SMALL) {
    const packed = await readAt(file, start, member.packed);
    yield member.method === STORED ? packed : inflateRawSync(packed);
    return;
  }
  const packed = packedStream(file, start, member.packed);
  yield* member.method === STORED
    ? packed as ReadableStream<Uint8Array>
    : packed.pipeThrough(new DecompressionStream("deflate-raw"));
}

async function unpackMember(file: Deno.FsFile, member: Member, path: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  using output = await Deno.open(path, { write: true, create: true, truncate: true });
  let crc = 0;
  let size = 0;
  for await (const chunk of contents(file, member)) {
    crc = crc32(chunk, crc);
    size += chunk.length;
    for (let written = 0; written < chunk.length;) written += await output.write(chunk.subarray(written));
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
    using file = await Deno.open(archive);
    const members = (await readMembers(file)).filter((member) =>
      !member.name.endsWith("/") && wanted(member.name)
    );
    const total = members.reduce((sum, member) => sum + member.size, 0);
    let done = 0;
    for (const member of members) {
      if (member.name.startsWith("/") || member.name.split("/").includes("..")) {
        throw new Error(`${member.name} would lie outside of the folder`);
      }
      await unpackMember(file, member, join(folder, member.name));
      done += member.size;
      onProgress(done / total);
    }
  } catch (error) {
    throw new Error(`Cannot unpack ${archive}: ${messageOf(error)}`);
  }
}

/** The text of the first member that `wanted` chooses, `null` where there is none. */
export async function readMember(archive: string, wanted: (name: string) => boolean): Promise<string | null> {
  using file = await Deno.open(archive);
  const member = (await readMembers(file)).find((member) => wanted(member.name));
  if (member === undefined) return null;
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of contents(file, member)) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}
