/**
 * What the readers of binary data sets share: finding the files, and reading records that must be whole.
 *
 * @module
 */

import { messageOf } from "../base/errors.ts";

/** Where the files of a data set are looked for. */
export interface FileSearch {
  /** The data set's name for messages, e.g. `CIFAR-10`. */
  readonly dataset: string;
  /** The folder that the user named. */
  readonly folder: string;
  /** The folder that the official archive unpacks to, looked at inside `folder`. */
  readonly archiveFolder: string;
  /** All of these must lie in one place. */
  readonly files: readonly string[];
}

/**
 * The paths of a data set's files, which lie in the folder itself or in the one that the archive unpacks to.
 *
 * @throws {Deno.errors.NotFound} that says what is missing and where it was looked for
 */
export function findFiles(search: FileSearch): string[] {
  const places = [search.folder, `${search.folder}/${search.archiveFolder}`];
  const missing = places.map((place) => search.files.filter((file) => !isFile(`${place}/${file}`)));
  const found = missing.findIndex((files) => files.length === 0);
  if (found >= 0) return search.files.map((file) => `${places[found]}/${file}`);
  const reports = places.map((place, i) => `${missing[i].join(", ")} not in ${place}`);
  throw new Deno.errors.NotFound(
    `Cannot find ${search.dataset}: looked for ${
      search.files.join(", ")
    } in the data folder itself and in its ` +
      `${search.archiveFolder}; missing: ${reports.join("; ")}; --download fetches them`,
  );
}

/** Whether there is a regular file (or a link to one) of that name. */
function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw new Error(`Cannot look for ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Opens a file to read.
 *
 * @throws {Error} that names it, where that is not permitted
 */
export function openToRead(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path);
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * How many records a file holds.
 *
 * @throws {RangeError} where the file is empty or does not end with a whole record
 */
export function countRecords(dataset: string, path: string, recordBytes: number): number {
  const { size } = Deno.statSync(path), count = size / recordBytes;
  if (size > 0 && Number.isInteger(count)) return count;
  const held = size === 0
    ? "it is empty"
    : `the file has ${size}: ${Math.floor(count)} whole and ${size % recordBytes} bytes over`;
  throw new RangeError(`Cannot read ${dataset} from ${path}: a record is ${recordBytes} bytes, ${held}`);
}

/**
 * Reads until the buffer is full.
 *
 * @throws {Deno.errors.UnexpectedEof} where the file ends before that
 */
export async function readFull(file: Deno.FsFile, buffer: Uint8Array, path: string): Promise<void> {
  for (let filled = 0; filled < buffer.length;) {
    const read = await file.read(buffer.subarray(filled));
    if (read === null) {
      throw new Deno.errors.UnexpectedEof(
        `Cannot read ${path}: it ended ${buffer.length - filled} bytes early; was it changed meanwhile?`,
      );
    }
    filled += read;
  }
}
