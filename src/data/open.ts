/**
 * From the settings to the data set that they name.
 *
 * @module
 */

import type { DataSettings } from "../config/settings.ts";
import { loadCifar } from "./cifar.ts";
import type { ImageDataset, Split } from "./dataset.ts";
import { loadShapes } from "./shapes.ts";

/** Reads one split of a data set into memory. */
export async function openDataset(settings: DataSettings, split: Split): Promise<ImageDataset> {
  const { dataset, data_dir } = settings;
  switch (dataset) {
    case "shapes":
      return loadShapes(split);
    case "cifar10":
    case "cifar100":
      return await loadCifar(dataset, data_dir, split);
    default:
      throw new Error(`Cannot open --dataset ${dataset}: it is not built in yet`);
  }
}
