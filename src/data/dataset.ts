/**
 * What a data set is to the rest of the program.
 *
 * @module
 */

/** Which part of a data set: the images that are learnt from, or those that are only tested on. */
export type Split = "train" | "test";

/** A data set that lies in memory as one block of bytes, so that it can be moved to the device at once. */
export interface ImageDataset {
  /** The name on the command line, e.g. `cifar10`. */
  readonly name: string;
  /** The part that it is. */
  readonly split: Split;
  /** Pixels, uint8, (count, 3, height, width), row-major. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** A class number in [0, classes.length) for each image; absent where the images carry none. */
  readonly labels?: Int32Array<ArrayBuffer>;
  /** How many images there are. */
  readonly count: number;
  /** Pixels from top to bottom. */
  readonly height: number;
  /** Pixels from left to right. */
  readonly width: number;
  /** The names of the classes, in the order of their numbers. */
  readonly classes: readonly string[];
}

/** Some images without augmentation, in a row. */
export interface PlainBatch {
  /** Pixels, uint8, (count, 3, height, width), row-major. They may change when the next batch is asked for. */
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** The size of each dimension. */
  readonly shape: readonly [count: number, channels: 3, height: number, width: number];
  /** A class number for each image; absent where the images carry none. */
  readonly labels?: Int32Array<ArrayBuffer>;
}

/** Images as an encoder is tested on them: in a fixed order and without augmentation, from memory or from files. */
export interface PlainImages extends AsyncDisposable {
  /** The name on the command line. */
  readonly name: string;
  /** Images that there are; files that cannot be decoded are among them, but in no batch. */
  readonly count: number;
  /** The names of the classes, in the order of their numbers; empty where images carry no labels. */
  readonly classes: readonly string[];
  /** What the user should know, one sentence each. More may come; whoever shows them takes them out. */
  readonly notes: string[];
  /** All images from the first on, so many at a time. */
  batches(batchSize: number): AsyncIterable<PlainBatch>;
}

/** The images of a data set that lies in memory. */
export function plainImages(dataset: ImageDataset): PlainImages {
  const { name, count, height, width, images, labels } = dataset, bytes = 3 * height * width;
  return {
    name,
    count,
    classes: labels === undefined ? [] : dataset.classes,
    notes: [],
    async *batches(batchSize) {
      for (let start = 0; start < count; start += batchSize) {
        const end = Math.min(start + batchSize, count);
        yield {
          pixels: images.subarray(start * bytes, end * bytes),
          shape: [end - start, 3, height, width],
          labels: labels?.subarray(start, end),
        };
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}
