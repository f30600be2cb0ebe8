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
import { cifarFiles, loadCifar } from "./cifar.ts";
import { type ImageDataset, type PlainImages, plainImages, type Split } from "./dataset.ts";
import { FolderBatches } from "./folder_batches.ts";
import { FolderImages } from "./folder_images.ts";
import { type ImageFolders, listImageFolder, listImageNet } from "./image_folder.ts";
import { loadShapes } from "./shapes.ts";
import { countUnlabelled, loadStl10, stl10Files } from "./stl10.ts";
import { TurboJpeg } from "./turbojpeg.ts";

/** Reads one split of a data set into memory, of STL-10 the labelled images; null for image files, which are too many. */
async function readDataset({ dataset, data_dir }: DataSettings, split: Split): Promise<ImageDataset | null> {
  switch (dataset) {
    case "shapes":
      return loadShapes(split);
    case "cifar10":
    case "cifar100":
      return await loadCifar(dataset, data_dir, split);
    case "stl10":
      return await loadStl10(data_dir, split);
    case "imagenet":
    case "folder":
      return null;
  }
}

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
  const inMemory = await readDataset(settings, split);
  if (inMemory !== null) return plainImages(inMemory);
  const { dataset, image_size, num_workers } = settings, files = listFolders(settings, notes)[split];
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
  const { discrimination_lambda, manip_lambda, num_workers } = settings, linear = batches === "labeled";
  findTestFiles(settings);
  const inMemory = await readDataset(settings, "train");
  if (inMemory !== null) return new MemoryBatches(await arrange(settings, inMemory, linear), options);
  // What was found is the same for all processes, and said by the first.
  const folders = listFolders(settings, options.rank === 0 ? options.notes : []);
  if (folders.train.labels === undefined && (linear || discrimination_lambda === 0 && manip_lambda === 0)) {
    throw new Error(
      `Cannot train the supervised head alone on ${settings.data_dir}: its images have no labels`,
    );
  }
  return new FolderBatches(folders, { ...options, linear, workers: num_workers });
}

/** Looks for the files that are only read when the training is over, and may have taken days. */
function findTestFiles({ dataset, data_dir }: DataSettings): void {
  if (dataset === "stl10") findFiles(stl10Files(data_dir, "test"));
  else if (dataset === "cifar10" || dataset === "cifar100") findFiles(cifarFiles(dataset, data_dir, "test"));
}

/** What is learnt from images in memory. */
async function arrange(settings: DataSettings, train: ImageDataset, linear: boolean): Promise<BatchImages> {
  const { dataset, data_dir } = settings, { count } = train;
  if (dataset !== "stl10") {
    return linear ? { pairs: null, labelled: train, count } : { pairs: train, labelled: null, count };
  }
  // An epoch has as many steps as one of pretraining, so that a schedule means the same in both.
  if (linear) return { pairs: null, labelled: train, count: countUnlabelled(data_dir) };
  const pairs = await loadStl10(data_dir, "unlabeled");
  return { pairs, labelled: train, count: pairs.count };
}

/**
 * Lists a data set of image files.
 *
 * @param notes receives what the user should know, also where this fails
 */
export function listFolders({ dataset, data_dir }: DataSettings, notes: string[] = []): ImageFolders {
  const folders = dataset === "imagenet" ? listImageNet(data_dir, notes) : listImageFolder(data_dir, notes);
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
