/**
 * Folders that are either whole or not there, however many set-ups run and wherever one is cut off.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import { exists, namesIn, run } from "./environment.ts";

const COMPLETE = ".complete";

/** Whether `path` was made by `makeFolder` and is whole. */
export function isWhole(path: string): boolean {
  return exists(join(path, COMPLETE));
}

async function withLock(path: string, work: () => Promise<void>, onWait: () => void): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true });
  // The system drops the lock when the process ends, however it ends.
  if (!await file.tryLock(true)) {
    onWait();
    await file.lock(true);
  }
  await work();
}

/**
 * Makes a folder once: `fill` writes into a temporary folder beside `path`, which takes the name `path` when all of
 * it is on the disk. Where several processes ask for the same folder, one fills it and the others wait for it.
 *
 * @param onWait Called before a wait for another process.
 */
export async function makeFolder(
  path: string,
  fill: (temporary: string) => Promise<void>,
  onWait: () => void = () => {},
): Promise<void> {
  if (isWhole(path)) return;
  const parent = dirname(path);
  await Deno.mkdir(parent, { recursive: true });
  const prefix = `.${basename(path)}.`;
  await withLock(join(parent, `${prefix}lock`), async () => {
    if (isWhole(path)) return;
    // Whoever made these is dead, for the lock is ours.
    const leftovers = namesIn(parent).filter((name) => name.startsWith(`${prefix}tmp`));
    for (const name of [...leftovers, basename(path)]) await remove(join(parent, name));
    const temporary = await Deno.makeTempDir({ dir: parent, prefix: `${prefix}tmp` });
    try {
      await fill(temporary);
      await publish(temporary, path);
    } finally {
      await remove(temporary);
    }
  }, onWait);
}

async function publish(temporary: string, path: string): Promise<void> {
  await Deno.writeTextFile(join(temporary, COMPLETE), "");
  await Deno.chmod(temporary, 0o755);
  // One call for thousands of small files. Without it a power cut could leave a whole-looking folder of empty files.
  await run("sync", ["-f", temporary]);
  await Deno.rename(temporary, path);
}

async function remove(path: string): Promise<void> {
  if (exists(path)) await Deno.remove(path, { recursive: true });
}
