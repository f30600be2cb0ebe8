/**
 * Unpacking of `.tar.gz` archives that nobody has to trust.
 *
 * @module
 */

import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { extract, type Header } from "tar-stream";
import { messageOf } from "../base/errors.ts";
import { writeFully } from "../files/atomic.ts";

/**
 * Unpacks an archive into a folder that must be new or empty. Only files and folders below it are made: an
 * entry with an absolute path or with `..`, a link, a device, or a path that was there before stops it.
 *
 * @param onBytes hears of the bytes of every piece that was written
 * @throws {Error} that names the archive, and the entry where one is refused; what was unpacked stays there
 */
export async function unpackTarGz(
  archive: string,
  folder: string,
  onBytes: (bytes: number) => void = () => {},
): Promise<void> {
  const entries = extract();
  const feeding = pipeline(createReadStream(archive), createGunzip(), entries);
  // Waiting for both leaves nothing open; where both fail, the second knows why, the first only that it was cut off.
  const outcomes = await Promise.allSettled([feeding, unpackEntries(entries, folder, onBytes)]);
  const failed = outcomes.findLast((outcome) => outcome.status === "rejected");
  if (failed !== undefined) {
    throw new Error(`Cannot unpack ${archive}: ${messageOf(failed.reason)}`, { cause: failed.reason });
  }
}

/** Writes every entry below the folder. */
async function unpackEntries(
  entries: ReturnType<typeof extract>,
  folder: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  for await (const entry of entries) {
    const path = `${folder}/${safePath(entry.header)}`;
    if (entry.header.type === "directory") {
      Deno.mkdirSync(path, { recursive: true });
      entry.resume();
      continue;
    }
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    using file = Deno.openSync(path, { write: true, createNew: true });
    for await (const bytes of entry as AsyncIterable<Uint8Array>) {
      writeFully(file, bytes);
      onBytes(bytes.length);
    }
  }
}

/** The path of an entry that is a file or a folder and stays below the folder it is unpacked in. */
function safePath({ name, type }: Header): string {
  if (type !== "file" && type !== "directory") {
    throw new Error(`only files and folders are unpacked, ${name} is a ${type}`);
  }
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  // A backslash separates folders on some systems, a colon names a drive, a zero byte ends a name too early.
  if (name.startsWith("/") || parts.includes("..") || /[\\:\0]/.test(name)) {
    throw new Error(`the path ${JSON.stringify(name)} leaves the folder`);
  }
  return parts.join("/");
}
