/**
 * STL-10 in its official binary form (Coates, Lee, Ng, "An analysis of single-layer networks in unsupervised
 * feature learning", 2011). A file of images has no header; an image is its red, green and blue plane of
 * 96x96 bytes, each plane stored column after column. A file of labels has one byte an image, 1 to 10. The
 * files may hold any number of images.
 *
 * @module
 */

import type { ImageDataset } from "./dataset.ts";
import { countRecords, findFiles, openToRead, readFull } from "./binary.ts";
import { type MemoryEntry, type Part, type Release, searchFor } from "./entry.ts";

const SIZE = 96;
const PLANE = SIZE * SIZE;
const IMAGE_BYTES = 3 * PLANE;
/** Bytes that are read at a time: about 4 MB, little enough to be in the cache still when transposed. */
const CHUNK_BYTES = 150 * IMAGE_BYTES;
const CLASSES = "airplane bird car cat deer dog horse monkey ship truck".split(" ");
const RELEASE: Release = {
  archive: {
    title: "STL-10",
    size: "2.6 GB",
    url: "https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    sha256: "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
    folder: "stl10_binary",
  },
  files: {
    unlabeled: ["unlabeled_X.bin"],
    train: ["train_X.bin", "train_y.bin"],
    test: ["test_X.bin", "test_y.bin"],
  },
};

/** STL-10 in the catalog. */
export const STL10: MemoryEntry = {
  title: RELEASE.archive.title,
  defaults: { image_size: SIZE, first_conv: true, maxpool1: false, jitter_strength: 1 },
  stored: "memory",
  release: RELEASE,
  load: loadStl10,
  unlabeled: {
    count: countUnlabelled,
    load: (dataDir) => loadStl10(dataDir, "unlabeled"),
    pick: pickUnlabelled,
  },
};

/**
 * Loads one part of STL-10. The unlabelled part (2.8 GB) is read straight to its place in memory and
 * transposed there, so it never needs twice its size; its `split` is `train`, and it has no labels.
 *
 * @param dataDir the folder with the `.bin` files, or the one that the official archive was unpacked in
 * @throws {Deno.errors.NotFound} where files are missing
 * @throws {RangeError} where a file is no whole number of images, counts differ, or a label does not exist
 */
export async function loadStl10(dataDir: string, part: Part): Promise<ImageDataset> {
  const [imagePath, labelPath] = findFiles(searchFor(RELEASE, dataDir, part));
  const count = countRecords("STL-10", imagePath, IMAGE_BYTES);
  return {
    name: "stl10",
    split: part === "test" ? "test" : "train",
    labels: labelPath === undefined ? undefined : await readLabels(labelPath, count),
    images: await readImages(imagePath, count),
    count,
    height: SIZE,
    width: SIZE,
    classes: CLASSES,
  };
}

/** How many images without labels there are, without reading them. Throws as {@linkcode loadStl10} does. */
export function countUnlabelled(dataDir: string): number {
  const [path] = findFiles(searchFor(RELEASE, dataDir, "unlabeled"));
  return countRecords("STL-10", path, IMAGE_BYTES);
}

/**
 * Reads single images without labels, in the order of their numbers' list: (numbers, 3, 96, 96). Throws as
 * {@linkcode loadStl10} does.
 */
export async function pickUnlabelled(
  dataDir: string,
  numbers: readonly number[],
): Promise<Uint8Array<ArrayBuffer>> {
  const [path] = findFiles(searchFor(RELEASE, dataDir, "unlabeled")),
    images = new Uint8Array(numbers.length * IMAGE_BYTES);
  using file = openToRead(path);
  for (const [i, number] of numbers.entries()) {
    await file.seek(number * IMAGE_BYTES, Deno.SeekMode.Start);
    await readFull(file, images.subarray(i * IMAGE_BYTES, (i + 1) * IMAGE_BYTES), path);
  }
  transposePlanes(images);
  return images;
}

/** Reads images and turns their planes from column-major to row-major, in place, while the next are read. */
async function readImages(path: string, count: number): Promise<Uint8Array<ArrayBuffer>> {
  const images = new Uint8Array(count * IMAGE_BYTES);
  using file = openToRead(path);
  const read = async (start: number) => {
    const chunk = images.subarray(start, start + CHUNK_BYTES);
    await readFull(file, chunk, path);
    return chunk;
  };
  for (let start = 0, chunk = read(0); start < images.length; start += CHUNK_BYTES) {
    const filled = await chunk;
    if (start + CHUNK_BYTES < images.length) chunk = read(start + CHUNK_BYTES);
    transposePlanes(filled);
  }
  return images;
}

/** Turns the planes of whole images from column-major to row-major. */
function transposePlanes({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): void {
  const words = new Uint32Array(buffer, byteOffset, byteLength / 4);
  for (let plane = 0; plane < words.length; plane += PLANE / 4) transposePlane(words, plane);
}

/** Words in a row of a plane: four pixels each. */
const ROW = SIZE / 4;

/** Transposes the plane that begins at a word: blocks of 4x4 bytes change places across the diagonal. */
function transposePlane(words: Uint32Array, start: number): void {
  const saved = new Uint32Array(4);
  for (let row = 0; row < ROW; row++) {
    for (let column = 0; column <= row; column++) {
      const below = start + 4 * ROW * row + column, above = start + 4 * ROW * column + row;
      for (let i = 0; i < 4; i++) saved[i] = words[above + ROW * i];
      transposeBlock(words, below, ROW, words, above, ROW);
      transposeBlock(saved, 0, 1, words, below, ROW);
    }
  }
}

/** Transposes 4x4 bytes that lie in four little-endian words: first bytes of a pair of rows, then pairs. */
function transposeBlock(
  from: Uint32Array,
  source: number,
  sourceStride: number,
  to: Uint32Array,
  target: number,
  targetStride: number,
): void {
  const a = from[source], b = from[source + sourceStride];
  const c = from[source + 2 * sourceStride], d = from[source + 3 * sourceStride];
  const evenAB = a & 0x00ff00ff | (b & 0x00ff00ff) << 8, oddAB = a >>> 8 & 0x00ff00ff | b & 0xff00ff00;
  const evenCD = c & 0x00ff00ff | (d & 0x00ff00ff) << 8, oddCD = c >>> 8 & 0x00ff00ff | d & 0xff00ff00;
  to[target] = evenAB & 0xffff | evenCD << 16;
  to[target + targetStride] = oddAB & 0xffff | oddCD << 16;
  to[target + 2 * targetStride] = evenAB >>> 16 | evenCD & 0xffff0000;
  to[target + 3 * targetStride] = oddAB >>> 16 | oddCD & 0xffff0000;
}

/** Reads one label for each image, and counts classes from 0. */
async function readLabels(path: string, count: number): Promise<Int32Array<ArrayBuffer>> {
  const found = countRecords("STL-10", path, 1);
  if (found !== count) {
    throw new RangeError(
      `Cannot read STL-10 from ${path}: there are ${count} images, the file has ${found} labels`,
    );
  }
  const bytes = new Uint8Array(count);
  using file = openToRead(path);
  await readFull(file, bytes, path);
  const wrong = bytes.findIndex((label) => label < 1 || label > CLASSES.length);
  if (wrong >= 0) {
    throw new RangeError(
      `Cannot read STL-10 from ${path}: labels are 1 to ${CLASSES.length}, record ${wrong} has ${
        bytes[wrong]
      }`,
    );
  }
  return Int32Array.from(bytes, (label) => label - 1);
}
