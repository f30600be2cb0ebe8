/**
 * A few images of a data set, whole and as they are.
 *
 * @module
 */

import type { PreviewSettings } from "../config/settings.ts";
import { listImageFolder, listImageNet } from "../data/image_folder.ts";
import { openImages } from "../data/open.ts";
import { epochOrder } from "../data/order.ts";

/** An image with what it is called. */
export interface Sample {
  /** Its class, where it has one, and its number or path. */
  readonly name: string;
  /** Pixels, uint8, (3, height, width). */
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** Pixels from top to bottom. */
  readonly height: number;
  /** Pixels from left to right. */
  readonly width: number;
}

/** Longer sides of image files are scaled down to this, so that any image fits into memory. */
const LONGEST = 2048;
/** Images of a data set in memory that are looked through at a time. */
const BATCH = 1000;

/** The first training images of a run's first epoch; of files those that can be decoded. */
export async function sampleImages(settings: PreviewSettings): Promise<Sample[]> {
  const { dataset } = settings;
  return dataset === "imagenet" || dataset === "folder"
    ? await sampleFiles(settings, dataset)
    : await sampleMemory(settings);
}

async function sampleMemory(settings: PreviewSettings): Promise<Sample[]> {
  await using images = await openImages(settings, "train");
  const picked = [...epochOrder(images.count, settings.seed, 0).subarray(0, settings.count)];
  const found = new Map<number, Sample>();
  let start = 0;
  for await (const { pixels, shape: [count, , height, width], labels } of images.batches(BATCH)) {
    const bytes = 3 * height * width;
    for (const number of picked.filter((number) => number >= start && number < start + count)) {
      const i = number - start, label = labels && images.classes[labels[i]];
      const name = `${label ?? images.name}, image ${number}`;
      found.set(number, { name, pixels: pixels.slice(i * bytes, (i + 1) * bytes), height, width });
    }
    start += count;
  }
  return picked.map((number) => found.get(number)!);
}

async function sampleFiles(settings: PreviewSettings, dataset: "imagenet" | "folder"): Promise<Sample[]> {
  const list = dataset === "imagenet" ? listImageNet : listImageFolder;
  const { root, paths } = list(settings.data_dir).train, samples: Sample[] = [];
  for (const number of epochOrder(paths.length, settings.seed, 0)) {
    if (samples.length === settings.count) break;
    const sample = await decode(`${root}/${paths[number]}`, paths[number]);
    if (sample !== null) samples.push(sample);
  }
  if (samples.length === 0) throw new Error(`Cannot preview ${root}: none of its images can be decoded`);
  return samples;
}

async function decode(path: string, name: string): Promise<Sample | null> {
  const { default: sharp } = await import("sharp");
  try {
    const { data, info: { width, height } } = await sharp(path)
      .resize(LONGEST, LONGEST, { fit: "inside", withoutEnlargement: true })
      .toColourspace("srgb").removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const pixels = new Uint8Array(3 * height * width), plane = height * width;
    for (let i = 0; i < plane; i++) {
      for (let channel = 0; channel < 3; channel++) pixels[channel * plane + i] = data[3 * i + channel];
    }
    return { name, pixels, height, width };
  } catch {
    return null;
  }
}
