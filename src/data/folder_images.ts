/**
 * Image files to test on: the middle of each, decoded ahead of the device.
 *
 * @module
 */

import { Ahead } from "./ahead.ts";
import { CropLoader, type Crops } from "./crop_loader.ts";
import type { PlainBatch, PlainImages } from "./dataset.ts";
import { DecodePool } from "./decode_pool.ts";
import type { ImageFiles } from "./image_folder.ts";

/** Batches that are decoded ahead. */
const AHEAD = 2;

/** How files are opened. */
export interface FolderImagesOptions {
  /** The data set's name on the command line. */
  readonly name: string;
  /** S, height and width of the images. */
  readonly size: number;
  /** Files that are decoded at a time. */
  readonly workers: number;
  /** What the user should know about the files, to which more is added. */
  readonly notes: string[];
}

/** Files, in their order. Those that cannot be decoded are left out, and named in the notes. */
export class FolderImages implements PlainImages {
  readonly name: string;
  readonly count: number;
  readonly classes: readonly string[];
  readonly notes: string[];
  readonly #files: ImageFiles;
  readonly #size: number;
  readonly #pool: DecodePool;
  readonly #loader: CropLoader;

  /** Starts the workers. */
  constructor(files: ImageFiles, { name, size, workers, notes }: FolderImagesOptions) {
    this.name = name;
    this.count = files.paths.length;
    this.classes = files.labels === undefined ? [] : files.classes;
    this.notes = notes;
    this.#files = files;
    this.#size = size;
    this.#pool = new DecodePool(workers);
    this.#loader = new CropLoader(files, size, this.#pool, this.notes);
  }

  async *batches(batchSize: number): AsyncIterable<PlainBatch> {
    const numbers = Uint32Array.from({ length: this.count }, (_, i) => i);
    const ahead = new Ahead(
      (index) =>
        this.#loader.load({
          picked: numbers.slice(index * batchSize, (index + 1) * batchSize),
          epoch: 0,
          cutting: { kind: "middle" },
          redraw: null,
        }),
      AHEAD,
      Math.ceil(this.count / batchSize),
    );
    for (let start = 0, index = 0; start < this.count; start += batchSize, index++) {
      const crops = await ahead.get(index);
      yield this.#batchOf(crops);
      crops.release();
    }
  }

  /** The images that could be decoded, moved together. */
  #batchOf({ pixels, sizes, picked }: Crops): PlainBatch {
    const size = this.#size, bytes = 3 * size * size, { labels } = this.#files;
    const whole = [...picked.keys()].filter((place) => sizes[2 * place] > 0);
    whole.forEach((place, to) => {
      if (place > to) pixels.copyWithin(to * bytes, place * bytes, (place + 1) * bytes);
    });
    return {
      pixels: pixels.subarray(0, whole.length * bytes),
      shape: [whole.length, 3, size, size],
      labels: labels && Int32Array.from(whole, (place) => labels[picked[place]]),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}
