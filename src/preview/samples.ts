/**
 * A few images of a data set, whole and as they are.
 *
 * @module
 */

import type { PreviewSettings } from "../config/settings.ts";
import { entryOf } from "../data/catalog.ts";
import { Decoder, type WholeImage } from "../data/decode.ts";
import { checkBytes } from "../data/image_file.ts";
import type { FilesEntry, UnlabeledImages } from "../data/entry.ts";
import { listFiles, openImages } from "../data/open.ts";
import { epochOrder } from "../data/order.ts";
import { openTurboJpeg } from "../data/turbojpeg.ts";
import { messageOf, tellingNotes } from "../base/errors.ts";

/** An image with what it is called. */
export interface Sample extends WholeImage {
  /** Its class, where it has one, and its number or path. */
  readonly name: string;
}

/** Longer sides of image files are scaled down to this, so that any image fits into memory. */
const LONGEST = 2048;
/** Images of a data set in memory that are looked through at a time. */
const BATCH = 1000;

/**
 * The first training images of a run's first epoch; of files those that can be decoded.
 *
 * @param note is told of what the user should know about files
 */
export async function sampleImages(
  settings: PreviewSettings,
  note: (text: string) => void,
): Promise<Sample[]> {
  const entry = entryOf(settings.dataset);
  if (entry.stored === "files") return await sampleFiles(entry, settings, note);
  return entry.unlabeled === undefined
    ? await sampleMemory(settings)
    : await sampleUnlabeled(entry.unlabeled, entry.defaults.image_size, settings);
}

/** Of the images without labels, which pretraining learns from. They are too many to load all. */
async function sampleUnlabeled(
  unlabeled: UnlabeledImages,
  side: number,
  { dataset, data_dir, seed, count }: PreviewSettings,
): Promise<Sample[]> {
  const picked = [...epochOrder(unlabeled.count(data_dir), seed, 0).subarray(0, count)];
  const images = await unlabeled.pick(data_dir, picked), bytes = 3 * side * side;
  return picked.map((number, i) => ({
    name: `${dataset}, unlabelled image ${number}`,
    pixels: images.slice(i * bytes, (i + 1) * bytes),
    height: side,
    width: side,
  }));
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

async function sampleFiles(
  entry: FilesEntry,
  { data_dir, seed, count }: PreviewSettings,
  note: (text: string) => void,
): Promise<Sample[]> {
  const { train: { root, paths } } = await tellingNotes(note, (notes) => listFiles(entry, data_dir, notes));
  const samples: Sample[] = [], decoder = new Decoder(openTurboJpeg());
  for (const number of epochOrder(paths.length, seed, 0)) {
    if (samples.length === count) break;
    const path = `${root}/${paths[number]}`;
    try {
      checkBytes(path);
      samples.push({ name: paths[number], ...await decoder.whole(Deno.readFileSync(path), LONGEST) });
    } catch (error) {
      note(`Cannot decode ${path}: ${messageOf(error)}; it is passed over`);
    }
  }
  if (samples.length === 0) throw new Error(`Cannot preview ${root}: none of its images can be decoded`);
  return samples;
}
