/**
 * Downloads that survive a bad line: cut and stalled transfers go on where they stopped, and nothing takes its place
 * before it is whole and has the right SHA-256.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { writeFully } from "../files/atomic.ts";
import { messageOf } from "../base/errors.ts";
import type { Archive } from "./archives.ts";
import { unpackTarGz } from "./tar.ts";

/** How far a download is. */
export interface DownloadProgress {
  /** What is done at the moment. */
  readonly stage: "download" | "check" | "unpack";
  /** Bytes that this stage has dealt with. */
  readonly done: number;
  /** Bytes that there are in all, where that is known. */
  readonly total?: number;
}

/** How a download behaves. */
export interface DownloadOptions {
  /** Hears of every piece. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Milliseconds without a byte after which a transfer is given up and tried again; default 30,000. */
  readonly stallTimeout?: number;
  /** How many times in a row a transfer may bring nothing new before the download fails; default 5. */
  readonly attempts?: number;
  /** Milliseconds before the second attempt, doubled for each later one; default 1,000. */
  readonly retryDelay?: number;
  /** How many bytes the file may have at most; default 2^33. */
  readonly maxBytes?: number;
  /** Ends the download; what was received stays for the next time. */
  readonly signal?: AbortSignal;
}

/** No archive of a data set is as large. A server that never ends must not fill the disk. */
const MAX_BYTES = 2 ** 33;

/** A failure that no further attempt would mend. */
class PermanentError extends Error {}

/**
 * Downloads and unpacks a data set, so that `dataDir` then holds the archive's folder. What a former download left is
 * used; the archive is removed in the end.
 *
 * @throws {Error} one sentence that says what failed; `dataDir` then holds no unfinished folder
 */
export async function downloadDataset(
  archive: Archive,
  dataDir: string,
  options: DownloadOptions = {},
): Promise<void> {
  const target = `${dataDir}/${archive.folder}`, temporary = `${target}.tmp`;
  if (await sizeOf(target) !== undefined) {
    throw new Deno.errors.AlreadyExists(
      `Cannot download ${archive.title}: ${target} is there but not complete; move it away first`,
    );
  }
  await Deno.mkdir(dataDir, { recursive: true });
  const { pathname } = new URL(archive.url),
    path = `${dataDir}/${pathname.slice(pathname.lastIndexOf("/") + 1)}`;
  await downloadFile(archive.url, path, archive.sha256, options);
  // What a killed process left.
  await removeIfThere(temporary);
  try {
    let done = 0;
    await unpackTarGz(path, temporary, (bytes) => {
      options.signal?.throwIfAborted();
      done += bytes;
      options.onProgress?.({ stage: "unpack", done });
    });
    await Deno.rename(`${temporary}/${archive.folder}`, target);
  } finally {
    await removeIfThere(temporary);
  }
  await Deno.remove(path);
}

/**
 * Downloads a file, unless one with the right SHA-256 is there. Bytes are gathered in `<path>.part`, also over several
 * calls, and the file gets its name when it is whole.
 *
 * @throws {Error} where the server refuses, nothing comes any more, or the SHA-256 is wrong
 */
export async function downloadFile(
  url: string,
  path: string,
  sha256: string,
  options: DownloadOptions = {},
): Promise<void> {
  if (await sizeOf(path) !== undefined && await sha256Of(path, options) === sha256) return;
  const part = `${path}.part`, began = await sizeOf(part) ?? 0;
  try {
    await receiveAll(url, part, options);
    let found = await sha256Of(part, options);
    if (found !== sha256 && began > 0) {
      // What an earlier call left may be of another file: once more from the beginning.
      await Deno.remove(part);
      await receiveAll(url, part, options);
      found = await sha256Of(part, options);
    }
    if (found !== sha256) {
      const { size } = await Deno.stat(part);
      await Deno.remove(part);
      throw new PermanentError(
        `the ${size} bytes that came have the SHA-256 ${found}, it should be ${sha256}`,
      );
    }
    await Deno.rename(part, path);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new Error(`Cannot download ${url}: ${messageOf(error)}`, { cause: error });
  }
}

/** Receives until the file is whole, again and again as long as it grows. */
async function receiveAll(url: string, part: string, options: DownloadOptions): Promise<void> {
  const { attempts = 5, retryDelay = 1000, signal } = options;
  // A server that begins anew every time brings it no further than before.
  let most = await sizeOf(part) ?? 0;
  if (most > 0 && (await Deno.lstat(part)).isSymlink) {
    throw new Error(`${part} is a link to another file; remove it`);
  }
  for (let failures = 0;;) {
    try {
      return await receive(url, part, options);
    } catch (error) {
      signal?.throwIfAborted();
      const size = await sizeOf(part) ?? 0;
      failures = size > most ? 0 : failures + 1;
      most = Math.max(most, size);
      if (error instanceof PermanentError) throw error;
      if (error instanceof Deno.errors.NotCapable) throw new PermanentError(describeRefusal(error));
      if (failures >= attempts) throw new Error(`${messageOf(error)} (attempt ${failures} of ${attempts})`);
      await sleep(retryDelay * 2 ** Math.max(0, failures - 1), undefined, { signal });
    }
  }
}

/** A download may reach the host of its address and no other: what that one redirects to is not for it to say. */
function describeRefusal({ message }: Error): string {
  const host = /net access to "([^"]+)"/.exec(message)?.[1];
  return host === undefined
    ? message
    : `the server passes on to ${host}; if you trust that, name the address there with STEC_ARCHIVE`;
}

/** One transfer: asks for what is missing and appends it. Returns when the file is whole. */
async function receive(url: string, part: string, options: DownloadOptions): Promise<void> {
  const { stallTimeout = 30_000, maxBytes = MAX_BYTES, onProgress, signal } = options;
  const stall = new AbortController();
  const giveUp = () => stall.abort(new Error(`nothing came for ${stallTimeout / 1000} s`));
  let timer = setTimeout(giveUp, stallTimeout);
  try {
    const have = await sizeOf(part) ?? 0;
    const response = await fetch(url, {
      headers: { "accept-encoding": "identity", ...(have > 0 && { range: `bytes=${have}-` }) },
      signal: AbortSignal.any([stall.signal, ...(signal ? [signal] : [])]),
    });
    const extent = await extentOf(response, part, have);
    if (extent === undefined) return;
    using file = await Deno.open(part, {
      write: true,
      create: true,
      truncate: extent.start === 0,
      append: extent.start > 0,
    });
    let done = extent.start;
    for await (const bytes of response.body ?? []) {
      clearTimeout(timer);
      timer = setTimeout(giveUp, stallTimeout);
      done += bytes.length;
      if (done > maxBytes) throw new PermanentError(`more than ${maxBytes} bytes came`);
      writeFully(file, bytes);
      onProgress?.({ stage: "download", done, total: extent.total });
    }
    if (extent.total !== undefined && done < extent.total) {
      throw new Error(`${done} of ${extent.total} bytes came`);
    }
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Where a response's bytes belong and how many the whole file has; nothing where the file was whole already.
 *
 * @throws {Error} where the response brings no bytes that are of use
 */
async function extentOf(
  response: Response,
  part: string,
  have: number,
): Promise<{ start: number; total?: number } | undefined> {
  const { status, headers } = response;
  if (status === 200) {
    const length = headers.get("content-length");
    return { start: 0, total: length === null ? undefined : Number(length) };
  }
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
  if (status === 206 && range !== null && Number(range[1]) === have) {
    return { start: have, total: range[2] === "*" ? undefined : Number(range[2]) };
  }
  await response.body?.cancel();
  if (status === 416 && range !== null && Number(range[2]) === have) return undefined;
  if (status === 206 || status === 416) {
    await Deno.remove(part);
    throw new Error("the server has no such rest of the file");
  }
  const message = `the server answered ${status} ${response.statusText}`.trim();
  throw status >= 500 || status === 408 || status === 429 ? new Error(message) : new PermanentError(message);
}

/** The SHA-256 of a file, in hexadecimal. */
async function sha256Of(path: string, { onProgress, signal }: DownloadOptions): Promise<string> {
  const hash = createHash("sha256"), total = await sizeOf(path);
  const file = await Deno.open(path);
  let done = 0;
  for await (const bytes of file.readable) {
    signal?.throwIfAborted();
    hash.update(bytes);
    done += bytes.length;
    onProgress?.({ stage: "check", done, total });
  }
  return hash.digest("hex");
}

/** The size of what is at a path, or nothing where nothing is. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Removes a folder with all that is in it. */
async function removeIfThere(folder: string): Promise<void> {
  try {
    await Deno.remove(folder, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
