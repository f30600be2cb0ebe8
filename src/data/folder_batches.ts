/**
 * Batches of image files to train on, decoded ahead of the device.
 *
 * @module
 */

import { partsOf } from "../augment/geometry.ts";
import { type DrawKey, drawViews } from "../augment/parameters.ts";
import { makeFirstViewsOfCrops, makeViewsOfCrops } from "../augment/views.ts";
import { Random } from "../base/random.ts";
import type { Batch } from "./batch.ts";
import { borrowTypedArray, upload } from "../torch/create.ts";
import { Ahead } from "./ahead.ts";
import {
  type BatchPlace,
  type BatchSource,
  type BatchSourceOptions,
  type Prepared,
  VALIDATION_EPOCH,
} from "./batches.ts";
import { CropLoader, type Crops } from "./crop_loader.ts";
import { DecodePool } from "./decode_pool.ts";
import type { ImageFiles, ImageFolders } from "./image_folder.ts";
import { EpochOrders } from "./order.ts";

/** Batches that are decoded ahead: one is ready while the device works on another, and one is in the making. */
const AHEAD = 2;
/** Keeps the draws that replace files apart from whatever else is drawn from the same seed. */
const REDRAW_STREAM = 0x7264;

/** What a source needs to know besides its files. */
export interface FolderBatchesOptions extends BatchSourceOptions {
  /** Files that are decoded at a time. */
  readonly workers: number;
  /** Whether a batch is single labelled views, for linear evaluation. */
  readonly linear: boolean;
}

/** Batches of image files, of which those held out are for validation. */
export class FolderBatches implements BatchSource {
  readonly count: number;
  readonly classes: number;
  readonly validationBatches: number;
  readonly validationNote: string;
  readonly notes: string[];
  readonly #pool: DecodePool;
  readonly #training: Ahead<Prepared>;
  readonly #validation: Ahead<Prepared>;
  readonly #stepsPerEpoch: number;

  /** Starts the workers. */
  constructor({ train, validation }: ImageFolders, options: FolderBatchesOptions) {
    const { processes, batchSize, workers } = options, held = validation.paths.length;
    // Where fewer are held out than a batch has, they are one smaller batch.
    const heldBatch = Math.min(batchSize, Math.floor(held / processes));
    this.count = train.paths.length;
    this.classes = train.labels === undefined ? 0 : train.classes.length;
    this.validationBatches = heldBatch === 0 ? 0 : Math.floor(held / heldBatch / processes);
    this.validationNote = `${held} images, augmented, ${heldBatch} a batch`;
    this.notes = options.notes ?? [];
    this.#stepsPerEpoch = Math.floor(this.count / batchSize / processes);
    this.#pool = new DecodePool(workers);
    const learnt = new Part(train, options, this.#pool, this.notes);
    this.#training = new Ahead((index) => {
      const step = index % this.#stepsPerEpoch, epoch = Math.floor(index / this.#stepsPerEpoch);
      return learnt.prepare(epoch, epoch, step, batchSize);
    }, AHEAD);
    const watched = new Part(validation, options, this.#pool, this.notes);
    this.#validation = new Ahead(
      (index) => watched.prepare(0, VALIDATION_EPOCH, index, heldBatch),
      1,
      this.validationBatches,
    );
  }

  prepare({ epoch, step }: BatchPlace): Promise<Prepared> {
    return this.#training.get(epoch * this.#stepsPerEpoch + step);
  }

  prepareValidation(index: number): Promise<Prepared> {
    return this.#validation.get(index);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}

/** Files that batches are picked from. */
class Part {
  readonly #files: ImageFiles;
  readonly #options: FolderBatchesOptions;
  readonly #loader: CropLoader;
  readonly #orders: EpochOrders;

  constructor(files: ImageFiles, options: FolderBatchesOptions, pool: DecodePool, notes: string[]) {
    this.#files = files;
    this.#options = options;
    this.#loader = new CropLoader(files, options.views.size, pool, notes, options.processes);
    this.#orders = new EpochOrders(files.paths.length, options.seed);
  }

  /** Loads the crops of a batch. */
  async prepare(orderEpoch: number, epoch: number, step: number, batchSize: number): Promise<Prepared> {
    const { seed, rank, processes, linear, views: { a, b } } = this.#options;
    const key = { seed, epoch, step, first: rank * batchSize };
    const start = (step * processes + rank) * batchSize;
    const crops = await this.#loader.load({
      picked: this.#orders.slice(orderEpoch, start, batchSize),
      epoch,
      cutting: {
        kind: "views",
        key,
        geometry: (linear ? [a] : [a, b]).map((recipe) => partsOf(recipe).geometry),
      },
      redraw: redrawer(
        this.#files.paths.length,
        (place) => new Random(seed, REDRAW_STREAM, epoch, start + place),
      ),
    });
    return { toBatch: () => this.#toBatch(crops, key) };
  }

  #toBatch(crops: Crops, key: DrawKey): Batch {
    const { views: recipes, linear, device } = this.#options, { size } = recipes;
    const count = crops.pixels.length / (3 * size * size);
    const shape = [count, 3, size, size];
    const pixels = device === "cpu"
      ? borrowTypedArray(crops.pixels, shape)
      : upload(crops.pixels, device, shape);
    const parameters = drawViews(recipes, crops.sizes, key), labels = this.#labelsOf(crops.picked);
    const batch = linear
      ? { labeled: { views: makeFirstViewsOfCrops(pixels, parameters), labels: labels! } }
      : { pairs: { ...makeViewsOfCrops(pixels, parameters), labels } };
    crops.release();
    return batch;
  }

  #labelsOf(picked: Uint32Array) {
    const { labels } = this.#files, { device } = this.#options;
    if (labels === undefined) return null;
    return upload(Int32Array.from(picked, (file) => labels[file]), device).to({ dtype: "int64" });
  }
}

/** Draws files for places of a batch: for each place from a stream of its own. */
function redrawer(files: number, streamOf: (place: number) => Random): (place: number) => number {
  const streams = new Map<number, Random>();
  return (place) => {
    const stream = streams.get(place) ?? streamOf(place);
    streams.set(place, stream);
    return stream.below(files);
  };
}
