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
  readonly split: Split;
  /** Pixels, uint8, (count, 3, height, width), row-major. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** A class number in [0, classes.length) for each image; absent where the images carry none. */
  readonly labels?: Int32Array<ArrayBuffer>;
  readonly count: number;
  readonly height: number;
  readonly width: number;
  /** The names of the classes, in the order of their numbers. */
  readonly classes: readonly string[];
}
