/**
 * From the settings to the data set that they name.
 *
 * @module
 */

import type { DataSettings } from "../config/settings.ts";
import { type BatchImages, type BatchSource, type BatchSourceOptions, MemoryBatches } from "./batches.ts";
import { loadCifar } from "./cifar.ts";
import { type ImageDataset, type PlainImages, plainImages, type Split } from "./dataset.ts";
import { loadShapes } from "./shapes.ts";
import { countUnlabelled, loadStl10 } from "./stl10.ts";

/** Reads one split of a data set into memory; of STL-10 the labelled images. */
export async function openDataset(settings: DataSettings, split: Split): Promise<ImageDataset> {
  const { dataset, data_dir } = settings;
  switch (dataset) {
    case "shapes":
      return loadShapes(split);
    case "cifar10":
    case "cifar100":
      return await loadCifar(dataset, data_dir, split);
    case "stl10":
      return await loadStl10(data_dir, split);
    default:
      throw new Error(`Cannot open --dataset ${dataset}: it is not built in yet`);
  }
}

/** Opens one split of a data set to test on. */
export async function openImages(settings: DataSettings, split: Split): Promise<PlainImages> {
  return plainImages(await openDataset(settings, split));
}

/**
 * Opens a data set to train on.
 *
 * @param linear whether only the supervised head learns, so that single views of labelled images are all there is to make
 */
export async function openSource(
  settings: DataSettings,
  linear: boolean,
  options: BatchSourceOptions,
): Promise<BatchSource> {
  return new MemoryBatches(await readImages(settings, linear), options);
}

async function readImages(settings: DataSettings, linear: boolean): Promise<BatchImages> {
  const labelled = await openDataset(settings, "train");
  if (settings.dataset !== "stl10") {
    const { count } = labelled;
    return linear ? { pairs: null, labelled, count } : { pairs: labelled, labelled: null, count };
  }
  // An epoch has as many steps as one of pretraining, so that a schedule means the same in both.
  if (linear) return { pairs: null, labelled, count: countUnlabelled(settings.data_dir) };
  const pairs = await loadStl10(settings.data_dir, "unlabeled");
  return { pairs, labelled, count: pairs.count };
}
