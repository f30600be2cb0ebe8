/**
 * From the settings to the data set that they name.
 *
 * @module
 */

import type { DataSettings, LossSettings } from "../config/settings.ts";
import { messageOf } from "../base/errors.ts";
import type { MethodEntry } from "../methods/registry.ts";
import { type BatchImages, type BatchSource, type BatchSourceOptions, MemoryBatches } from "./batches.ts";
import { findFiles } from "./binary.ts";
import { entryOf } from "./catalog.ts";
import { type PlainImages, plainImages, type Split } from "./dataset.ts";
import { type FilesEntry, type MemoryEntry, searchFor } from "./entry.ts";
import { FolderBatches } from "./folder_batches.ts";
import { FolderImages } from "./folder_images.ts";
import type { ImageFolders } from "./image_folder.ts";
import { TurboJpeg } from "./turbojpeg.ts";

/**
 * Opens one split of a data set to test on, or to look at without augmentation.
 *
 * @param notes receives what the user should know, also where this fails; it becomes the images' own list
 */
export async function openImages(
  settings: DataSettings,
  split: Split,
  notes: string[] = [],
): Promise<PlainImages> {
  const { dataset, data_dir, image_size, num_workers } = settings, entry = entryOf(dataset);
  if (entry.stored === "memory") return plainImages(await entry.load(data_dir, split));
  const files = listFiles(entry, data_dir, notes)[split];
  return new FolderImages(files, { name: dataset, size: image_size, workers: num_workers, notes });
}

/**
 * Opens a data set to train on.
 *
 * @param batches what the method learns from
 */
export async function openSource(
  settings: DataSettings & LossSettings,
  options: BatchSourceOptions,
  batches: MethodEntry["batches"] = "pairs",
): Promise<BatchSource> {
  const { dataset, data_dir, discrimination_lambda, manip_lambda, num_workers } = settings;
  const entry = entryOf(dataset), linear = batches === "labeled";
  if (entry.stored === "memory") {
    return new MemoryBatches(await readBatches(entry, data_dir, linear), options);
  }
  // What was found is the same for all processes, and said by the first.
  const folders = listFiles(entry, data_dir, options.rank === 0 ? options.notes : []);
  if (folders.train.labels === undefined && (linear || discrimination_lambda === 0 && manip_lambda === 0)) {
    throw new Error(
      `Cannot train the supervised head alone on ${data_dir}: its images have no labels`,
    );
  }
  return new FolderBatches(folders, { ...options, linear, workers: num_workers });
}

/** Reads what is learned from a data set in memory. */
async function readBatches(entry: MemoryEntry, dataDir: string, linear: boolean): Promise<BatchImages> {
  const { release, unlabeled } = entry;
  // They are only read when the training is over, and may have taken days.
  if (release !== undefined) findFiles(searchFor(release, dataDir, "test"));
  const train = await entry.load(dataDir, "train"), { count } = train;
  if (unlabeled === undefined) {
    return linear ? { pairs: null, labelled: train, count } : { pairs: train, labelled: null, count };
  }
  // An epoch has as many steps as one of pretraining, so that a schedule means the same in both.
  if (linear) return { pairs: null, labelled: train, count: unlabeled.count(dataDir) };
  const pairs = await unlabeled.load(dataDir);
  return { pairs, labelled: train, count: pairs.count };
}

/**
 * Lists a data set of image files.
 *
 * @param notes receives what the user should know, also where this fails
 */
export function listFiles(entry: FilesEntry, dataDir: string, notes: string[] = []): ImageFolders {
  const folders = entry.list(dataDir, notes);
  noteSlowness(notes);
  return folders;
}

/** A warning where JPEGs are decoded without the library that is fast at it. */
function noteSlowness(notes: string[]): void {
  try {
    new TurboJpeg();
  } catch (error) {
    notes.push(`Decoding takes longer than it could, without libjpeg-turbo: ${messageOf(error)}`);
  }
}
