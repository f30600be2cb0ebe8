/**
 * Data sets that are fetched because they are not there.
 *
 * @module
 */

import type { DataSettings } from "../config/settings.ts";
import type { Progress } from "../setup/progress.ts";
import { type Archive, archiveOf } from "./archives.ts";
import { type FileSearch, findFiles } from "./binary.ts";
import { releaseOf } from "./catalog.ts";
import type { DownloadOptions, DownloadProgress } from "./download.ts";
import { type Part, type Release, searchFor } from "./entry.ts";
import { messageOf } from "../base/errors.ts";

/** Which data set, and where it should be. */
export type Wanted = Pick<DataSettings, "dataset" | "data_dir">;

/** A command that reads a data set. */
export type DataCommand = "train" | "eval" | "probe" | "preview";

/** The parts that each command reads, of those that a data set has. */
const PARTS: Readonly<Record<DataCommand, (release: Release) => readonly Part[]>> = {
  train: ({ files }) => files.unlabeled === undefined ? ["train", "test"] : ["unlabeled", "train", "test"],
  eval: () => ["test"],
  probe: () => ["train", "test"],
  preview: ({ files }) => files.unlabeled === undefined ? ["train"] : ["unlabeled"],
};

/** The archive to download for a command whose files are missing; null where none are, or there is no archive. */
export function missingArchive({ dataset, data_dir }: Wanted, command: DataCommand): Archive | null {
  const release = releaseOf(dataset);
  if (release === null) return null;
  const searches = PARTS[command](release).map((part) => searchFor(release, data_dir, part));
  return searches.every(isThere) ? null : archiveOf(release.archive);
}

function isThere(search: FileSearch): boolean {
  try {
    findFiles(search);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Downloads a data set if files that a command needs are missing. Of several processes that do so at the same time one
 * downloads, and the others wait for it.
 */
export async function obtain(
  wanted: Wanted,
  command: DataCommand,
  progress: Progress,
  options: DownloadOptions = {},
): Promise<void> {
  const { data_dir } = wanted, archive = missingArchive(wanted, command);
  if (archive === null) return;
  const lockPath = `${data_dir}/${archive.folder}.lock`;
  using _lock = await lockFile(lockPath, archive, progress);
  if (missingArchive(wanted, command) === null) return;
  const { downloadDataset } = await import("./download.ts");
  progress.say(`Downloading ${archive.title} from ${archive.url} to ${data_dir}`);
  await downloadDataset(archive, data_dir, { onProgress: reporter(archive, progress), ...options });
  // Whoever waits for the lock finds the data, so that nobody needs its file any more.
  await Deno.remove(lockPath);
  progress.say(`${archive.title} is in ${data_dir}/${archive.folder}`);
}

/** Opens a file that no other process has open this way, and waits until that is so. */
async function lockFile(path: string, { title }: Archive, progress: Progress): Promise<Deno.FsFile> {
  try {
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    const file = await Deno.open(path, { write: true, create: true });
    if (!await file.tryLock(true)) {
      progress.say(`Waiting for another process that downloads ${title}`);
      await file.lock(true);
    }
    return file;
  } catch (error) {
    throw new Error(`Cannot download ${title}: ${messageOf(error)}`, { cause: error });
  }
}

/** Reports downloading and checking by the share that is done, unpacking when it begins. */
function reporter({ title }: Archive, progress: Progress): (at: DownloadProgress) => void {
  let stage: DownloadProgress["stage"] | null = null;
  return (at) => {
    if (at.stage === "unpack" && stage !== "unpack") progress.say(`Unpacking ${title}`);
    stage = at.stage;
    if (at.stage === "unpack" || at.total === undefined) return;
    progress.step(at.stage === "check" ? `Checking ${title}` : sizeOf(title, at.total), at.done / at.total);
  };
}

function sizeOf(title: string, bytes: number): string {
  return `Downloading ${title}, ${Math.ceil(bytes / 1e6)} MB`;
}
