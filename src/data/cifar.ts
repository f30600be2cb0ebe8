/**
 * CIFAR-10 and CIFAR-100 in their official binary form (Krizhevsky, "Learning multiple layers of features
 * from tiny images", 2009). A file is a row of records without a header; a record is the label (CIFAR-10:
 * one byte; CIFAR-100: coarse, then fine label) and 3072 bytes of pixels, the red, green and blue plane,
 * row-major. Files may hold any number of records.
 *
 * @module
 */

import type { ImageDataset, Split } from "./dataset.ts";
import { countRecords, findFiles, openToRead, readFull } from "./binary.ts";
import { type DatasetDefaults, type MemoryEntry, type Release, searchFor } from "./entry.ts";

/** Which of the two data sets. */
export type CifarName = "cifar10" | "cifar100";

/** How one of the data sets is stored. */
interface CifarFormat {
  readonly release: Release;
  /** Bytes before the pixels; the last of them is the label. */
  readonly labelBytes: number;
  readonly classes: readonly string[];
}

const SIZE = 32;
const PIXEL_BYTES = 3 * SIZE * SIZE;
/** Records that are read at a time: about a megabyte. */
const CHUNK_RECORDS = 340;

const FORMATS: Readonly<Record<CifarName, CifarFormat>> = {
  cifar10: {
    release: {
      archive: {
        title: "CIFAR-10",
        size: "170 MB",
        url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        folder: "cifar-10-batches-bin",
      },
      files: { train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`), test: ["test_batch.bin"] },
    },
    labelBytes: 1,
    classes: "airplane automobile bird cat deer dog frog horse ship truck".split(" "),
  },
  cifar100: {
    release: {
      archive: {
        title: "CIFAR-100",
        size: "169 MB",
        url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        folder: "cifar-100-binary",
      },
      files: { train: ["train.bin"], test: ["test.bin"] },
    },
    labelBytes: 2,
    classes: `
      apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
      castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
      elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
      man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
      pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
      skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
      tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm`.trim().split(/\s+/),
  },
};

const DEFAULTS: DatasetDefaults = {
  image_size: SIZE,
  first_conv: false,
  maxpool1: false,
  jitter_strength: 0.5,
};

/** CIFAR-10 in the catalog. */
export const CIFAR10: MemoryEntry = catalogEntry("cifar10");
/** CIFAR-100 in the catalog. */
export const CIFAR100: MemoryEntry = catalogEntry("cifar100");

function catalogEntry(name: CifarName): MemoryEntry {
  const { release } = FORMATS[name];
  return {
    title: release.archive.title,
    defaults: DEFAULTS,
    stored: "memory",
    release,
    load: (dataDir, split) => loadCifar(name, dataDir, split),
  };
}

/**
 * Loads one split of CIFAR-10 or of CIFAR-100 with its fine labels.
 *
 * @param dataDir the folder with the `.bin` files, or the one that the official archive was unpacked in
 * @throws {Deno.errors.NotFound} where files are missing
 * @throws {RangeError} where a file is no whole number of records or holds a label that does not exist
 */
export async function loadCifar(name: CifarName, dataDir: string, split: Split): Promise<ImageDataset> {
  const format = FORMATS[name], paths = findFiles(searchFor(format.release, dataDir, split));
  const recordBytes = format.labelBytes + PIXEL_BYTES;
  const counts = paths.map((path) => countRecords(titleOf(format), path, recordBytes));
  const count = counts.reduce((sum, records) => sum + records, 0);
  const images = new Uint8Array(count * PIXEL_BYTES), labels = new Int32Array(count);
  let first = 0;
  for (const [i, path] of paths.entries()) {
    const end = first + counts[i];
    await readRecords(format, path, images.subarray(first * PIXEL_BYTES), labels.subarray(first, end));
    first = end;
  }
  return { name, split, images, labels, count, height: SIZE, width: SIZE, classes: format.classes };
}

function titleOf({ release }: CifarFormat): string {
  return release.archive.title;
}

/** Reads as many records of a file as there is room for labels; each byte is copied once, to its place. */
async function readRecords(
  format: CifarFormat,
  path: string,
  images: Uint8Array,
  labels: Int32Array,
): Promise<void> {
  const { labelBytes, classes } = format, recordBytes = labelBytes + PIXEL_BYTES;
  const chunk = new Uint8Array(CHUNK_RECORDS * recordBytes);
  using file = openToRead(path);
  for (let first = 0; first < labels.length; first += CHUNK_RECORDS) {
    const records = Math.min(CHUNK_RECORDS, labels.length - first);
    await readFull(file, chunk.subarray(0, records * recordBytes), path);
    for (let i = 0; i < records; i++) {
      const pixels = i * recordBytes + labelBytes, label = chunk[pixels - 1];
      if (label >= classes.length) {
        throw new RangeError(
          `Cannot read ${titleOf(format)} from ${path}: labels are 0 to ${classes.length - 1}, ` +
            `record ${first + i} has ${label}`,
        );
      }
      labels[first + i] = label;
      images.set(chunk.subarray(pixels, pixels + PIXEL_BYTES), (first + i) * PIXEL_BYTES);
    }
  }
}
