/**
 * Data sets that are fetched because they are not there.
 *
 * @module
 */

import type { DataSettings } from "../config/settings.ts";
import type { Progress } from "../setup/progress.ts";
import { type Archive, ARCHIVES, isDownloadable } from "./archives.ts";
import { type FileSearch, findFiles } from "./binary.ts";
import { cifarFiles } from "./cifar.ts";
import type { DownloadOptions, DownloadProgress } from "./download.ts";
import { stl10Files } from "./stl10.ts";

/** Which data set, and where it should be. */
export type Wanted = Pick<DataSettings, "dataset" | "data_dir">;

/** The archive to download for a data set of which files are missing; null where none are, or there is no archive. */
export function missingArchive({ dataset, data_dir }: Wanted): Archive | null {
  if (!isDownloadable(dataset)) return null;
  const searches = dataset === "stl10"
    ? (["unlabeled", "train", "test"] as const).map((split) => stl10Files(data_dir, split))
    : (["train", "test"] as const).map((split) => cifarFiles(dataset, data_dir, split));
  return searches.every(isThere) ? null : ARCHIVES[dataset];
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
 * Downloads a data set if files of it are missing.
 *
 * @param archive what to download instead of the official archive
 */
export async function obtain(
  wanted: Wanted,
  progress: Progress,
  options: DownloadOptions = {},
  archive: Archive | null = missingArchive(wanted),
): Promise<void> {
  if (archive === null) return;
  const { downloadDataset } = await import("./download.ts");
  progress.say(`Downloading ${archive.title} from ${archive.url} to ${wanted.data_dir}`);
  await downloadDataset(archive, wanted.data_dir, { onProgress: reporter(archive, progress), ...options });
  progress.say(`${archive.title} is in ${wanted.data_dir}/${archive.folder}`);
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
