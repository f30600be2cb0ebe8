/**
 * The data sets by name. Flags, permissions, download, preview and training read what they need to know here. Nothing
 * here loads libtorch, so that the process that only reads flags can look data sets up.
 *
 * @module
 */

import { CIFAR10, CIFAR100 } from "./cifar.ts";
import type { DatasetEntry, Release } from "./entry.ts";
import { FOLDER, IMAGENET } from "./image_folder.ts";
import { SHAPES } from "./shapes.ts";
import { STL10 } from "./stl10.ts";

/** The data sets by their names on the command line. */
export const DATASETS = {
  shapes: SHAPES,
  cifar10: CIFAR10,
  cifar100: CIFAR100,
  stl10: STL10,
  imagenet: IMAGENET,
  folder: FOLDER,
} as const satisfies Readonly<Record<string, DatasetEntry>>;

/** A data set by its name on the command line. */
export type DatasetName = keyof typeof DATASETS;

/** The names of all data sets. */
export const DATASET_NAMES: readonly DatasetName[] = Object.keys(DATASETS) as DatasetName[];

/** The data sets whose images have any size, and are scaled to `image_size`. */
export const ANY_SIZE: readonly DatasetName[] = DATASET_NAMES.filter((name) =>
  DATASETS[name].stored === "files"
);

/** The data sets with an official address that needs no account. */
export const DOWNLOADABLE: readonly DatasetName[] = DATASET_NAMES.filter((name) => releaseOf(name) !== null);

/** What the program knows about a data set. */
export function entryOf(name: DatasetName): DatasetEntry {
  return DATASETS[name];
}

/** What can be downloaded of a data set; null where there is nothing. */
export function releaseOf(name: DatasetName): Release | null {
  const entry: DatasetEntry = DATASETS[name];
  return entry.stored === "memory" ? entry.release ?? null : null;
}
