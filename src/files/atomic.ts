/**
 * Files that are there whole or not at all: written beside, flushed to disk and renamed, so that neither a full disk
 * nor a killed process ever leaves a broken file under a good name.
 *
 * @module
 */

import { messageOf } from "../base/errors.ts";
import { PIECE_BYTES } from "../zip/format.ts";

/** The folder that a path is in, and its own name. */
function splitPath(path: string): [folder: string, name: string] {
  const slash = path.lastIndexOf("/");
  return [slash < 0 ? "." : path.slice(0, slash) || "/", path.slice(slash + 1)];
}

/** Where a file is written before it takes the place of `path`. Nobody can tell the name, and plant a file there. */
export function temporaryPath(path: string): string {
  const random = crypto.getRandomValues(new Uint8Array(8));
  return `${path}.tmp-${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * Writes a file at once: `write` fills a temporary file, which takes the place of `path` only when it is whole and on
 * the disk. Where anything fails the temporary file is removed, what was at `path` stays, and one sentence says why.
 *
 * @param temporary in the same folder, for who may not write there but to names that were agreed on
 */
export function writeAtomically(
  path: string,
  write: (file: Deno.FsFile) => void,
  temporary: string = temporaryPath(path),
): void {
  try {
    {
      using file = Deno.openSync(temporary, { write: true, createNew: true });
      write(file);
      file.syncSync();
    }
    Deno.renameSync(temporary, path);
  } catch (thrown) {
    // What somebody else has put there stays.
    if (!(thrown instanceof Deno.errors.AlreadyExists)) removeIfThere(temporary);
    throw new Error(`Cannot write ${path}: ${messageOf(thrown)}`, { cause: thrown });
  }
  syncFolder(splitPath(path)[0]);
}

/** Writes all of `bytes` at the file's position. */
export function writeFully(file: Pick<Deno.FsFile, "writeSync">, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

/** Writes all of `bytes` at the end of a file that stays open; an error names it. */
export function append(path: string, file: Deno.FsFile, bytes: Uint8Array): void {
  try {
    writeFully(file, bytes);
  } catch (thrown) {
    throw new Error(`Cannot write ${path}: ${messageOf(thrown)}`, { cause: thrown });
  }
}

/**
 * Gives a file a second name, at once, in place of what had that name; does nothing where there is no such file. Costs no
 * space where links are possible.
 */
export function replaceByLink(from: string, to: string): void {
  const temporary = temporaryPath(to);
  try {
    Deno.linkSync(from, temporary);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) copyAtomically(from, to, temporary);
    return;
  }
  Deno.renameSync(temporary, to);
  // Renaming does nothing where both are names of the same file already.
  removeIfThere(temporary);
}

function copyAtomically(from: string, to: string, temporary: string): void {
  using source = Deno.openSync(from, { read: true });
  const buffer = new Uint8Array(PIECE_BYTES);
  writeAtomically(to, (file) => {
    for (let read; (read = source.readSync(buffer)) !== null;) writeFully(file, buffer.subarray(0, read));
  }, temporary);
}

/**
 * Removes the temporary files that killed processes left in a folder in place of files of certain names. Only for when no
 * other process is writing those, for instance at the start of a run. Returns the names of what it removed.
 */
export function removeLeftovers(folder: string, isMeant: (name: string) => boolean): string[] {
  const isLeftover = (name: string) => {
    const parts = /^(.*)\.tmp-[0-9a-f]+$/.exec(name);
    return parts !== null && isMeant(parts[1]);
  };
  const leftovers = [...Deno.readDirSync(folder)].map((entry) => entry.name).filter(isLeftover);
  for (const leftover of leftovers) Deno.removeSync(`${folder}/${leftover}`);
  return leftovers;
}

/** Removes a file, without a word where it is not there or cannot be removed. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It was never made, or its folder is gone: nothing to clean up, and an error before is the one to report.
  }
}

/** Makes the rename itself lasting. Some file systems cannot flush a folder; the file is whole all the same. */
function syncFolder(folder: string): void {
  try {
    using handle = Deno.openSync(folder, { read: true });
    handle.syncSync();
  } catch {
    return;
  }
}
