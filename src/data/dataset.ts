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
