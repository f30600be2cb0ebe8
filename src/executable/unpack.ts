/**
 * Unpacks the native libraries of an executable that `deno compile` has made, as the start-up of the other kind does:
 * once into the user's cache, whole or not at all, and never where another user could have had a hand in it.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { messageOf } from "../base/errors.ts";
import { cacheFolder, type Environment, REPOSITORY } from "../setup/environment.ts";
import { makeFolder } from "../setup/folder.ts";
import { manifestPath } from "../setup/manifest.ts";

/** What is packed, as the file `index.json` beside it says. */
export interface PackedIndex {
  /** Names the content. */
  readonly key: string;
  /** Each file: its path when it is unpacked, its size, and the file that holds it. */
  readonly files: readonly { readonly path: string; readonly size: number; readonly packed: string }[];
}

/** The folder in the executable. */
export const PACKED = "packed";
const ANOTHER = "set STEC_CACHE to another folder";
/** Owners from outside look like this inside a user namespace. */
const OVERFLOW = 65534;

/** Unpacks, unless that was done before, and returns the path of the libraries' manifest. */
export async function unpackLibraries(
  environment: Environment,
  packed: string = join(REPOSITORY, PACKED),
): Promise<string> {
  const index: PackedIndex = JSON.parse(Deno.readTextFileSync(join(packed, "index.json")));
  const named = join(cacheFolder(environment), "executable");
  try {
    Deno.mkdirSync(named, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw new Error(
      `Cannot make the folder ${named}: ${messageOf(error)}; set STEC_CACHE to a folder that can be written`,
    );
  }
  const all = Deno.realPathSync(named), folder = join(all, index.key);
  checkWay(all);
  await makeFolder(folder, (temporary) => Promise.resolve(fill(temporary, packed, index)));
  checkFiles(folder, index);
  return manifestPath(folder);
}

function fill(folder: string, packed: string, { files }: PackedIndex): void {
  for (const file of files) {
    const path = join(folder, file.path), bytes = decompressed(join(packed, file.packed), file.size);
    try {
      Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
      Deno.writeFileSync(path, bytes, { createNew: true, mode: 0o644 });
    } catch (error) {
      throw new Error(
        `Cannot unpack into ${path}: ${messageOf(error)}; set STEC_CACHE to a folder with more room`,
      );
    }
  }
}

function decompressed(path: string, size: number): Uint8Array {
  let bytes: Uint8Array | undefined;
  try {
    bytes = zstdDecompressSync(Deno.readFileSync(path));
  } catch {
    // Damage is found by the checksum, or by an end in the middle, which counts as the end.
  }
  if (bytes?.length === size) return bytes;
  throw new Error("Cannot start: this copy of the executable is damaged; copy it again");
}

/** Refuses a folder that is not safe to use, or that lies in one. `path` has no links in it. */
function checkWay(path: string): void {
  for (let part = path, own = true;; part = dirname(part), own = false) {
    checkOwner(part, own);
    if (part === dirname(part)) return;
  }
}

/** Refuses what other users could have made or could change. The superuser could do anything anyway. */
function checkOwner(path: string, own: boolean): Deno.FileInfo {
  const info = Deno.lstatSync(path), mode = info.mode ?? 0;
  if (info.uid !== 0 && info.uid !== Deno.uid() && (own || info.uid !== OVERFLOW)) {
    throw new Error(`Cannot use ${path}: it belongs to another user; ${ANOTHER}`);
  }
  // Who may write to a sticky folder, as /tmp is, may not replace what others have there.
  if ((mode & 0o022) !== 0 && (own || (mode & 0o1000) === 0)) {
    throw new Error(
      `Cannot use ${path}: other users may write to it; run \`chmod go-w\` on it or ${ANOTHER}`,
    );
  }
  return info;
}

function checkFiles(folder: string, { files }: PackedIndex): void {
  checkOwner(folder, true);
  for (const { path, size } of files) {
    const info = checkOwner(join(folder, path), true);
    if (!info.isFile || info.size !== size) {
      throw new Error(`Cannot use ${join(folder, path)}: it is not as it was unpacked; remove ${folder}`);
    }
  }
}
