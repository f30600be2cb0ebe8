/**
 * Batches of two views each, in the order of the epochs.
 *
 * @module
 */

import { type DrawKey, drawViews, equalSizes } from "../augment/parameters.ts";
import type { ViewRecipes } from "../augment/transform.ts";
import { makeFirstViews, makeViews } from "../augment/views.ts";
import type { Batch, LabeledViews, Pairs } from "./batch.ts";
import { borrowTypedArray, fromTypedArray, send, upload } from "../torch/create.ts";
import { cudaMemory } from "../torch/cuda.ts";
import { keep, scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { ImageDataset } from "./dataset.ts";
import { EpochOrders } from "./order.ts";

/** Where a batch stands: epoch and step within it, from 0. */
export interface BatchPlace {
  /** The epoch, from 0. */
  readonly epoch: number;
  /** The step within the epoch, from 0. */
  readonly step: number;
}

/** A batch whose data are at hand. */
export interface Prepared {
  /**
   * Computes the views on the device. Call it inside a `scope`; it can be called again until another batch is prepared.
   */
  toBatch(): Batch;
}

/** Makes batches. Which images a batch has and what is done to them depends on the seed and its place alone. */
export interface BatchSource extends AsyncDisposable {
  /** Images of an epoch. */
  readonly count: number;
  /** Classes of the labels; 0 where there are none. */
  readonly classes: number;
  /** Batches of a validation. */
  readonly validationBatches: number;
  /** What the validation looks at, in words. */
  readonly validationNote: string;
  /** What the user should know, one sentence each. More may come; whoever shows them takes them out. */
  readonly notes: string[];
  /** Gets a training batch's data. */
  prepare(place: BatchPlace): Prepared | Promise<Prepared>;
  /** Gets a validation batch's data. */
  prepareValidation(index: number): Prepared | Promise<Prepared>;
}

/** What a source needs to know besides its images. */
export interface BatchSourceOptions {
  /** How views are made. */
  readonly views: ViewRecipes;
  /** Images in a batch, on this process. */
  readonly batchSize: number;
  /** What everything is drawn from. */
  readonly seed: number;
  /** Where the batches are made. */
  readonly device: string;
  /** This process among those that share each batch. */
  readonly rank: number;
  /** How many processes share each batch. */
  readonly processes: number;
  /** Receives what the user should know, also where the source cannot be opened; left out: a new list. */
  readonly notes?: string[];
}

/** The epoch that validation views are drawn in, which no run reaches. */
export const VALIDATION_EPOCH = 0xffffffff;

/** What batches are made of. */
export interface BatchImages {
  /** Images that two views each are made of; null in linear evaluation, which needs none. */
  readonly pairs: ImageDataset | null;
  /** Images that the supervised head learns from instead of those, in turn, from one view each. */
  readonly labelled: ImageDataset | null;
  /** Images of an epoch. */
  readonly count: number;
}

/** The share of a GPU's free memory that a data set may take. The rest is for the network and what it computes. */
const DEVICE_SHARE = 0.25;

/** How many bytes of images may lie on a device: on the CPU, where they are, any number. */
function room(device: string): number {
  return device === "cpu" ? Infinity : DEVICE_SHARE * cudaMemory(device).free;
}

/** Batches of images that lie in memory, and on the device where it has room for them, as one tensor. */
export class MemoryBatches implements BatchSource {
  readonly count: number;
  readonly classes: number;
  readonly validationBatches: number = 2;
  readonly validationNote = "two batches of augmented training images, as in the reference";
  readonly notes: string[];
  readonly #pairs: DeviceImages | null;
  readonly #labelled: DeviceImages | null;
  readonly #options: BatchSourceOptions;
  readonly #orders: EpochOrders;

  /**
   * Moves the images to the device.
   *
   * @param most bytes of images that may lie there; of larger ones each batch is sent
   */
  constructor(images: BatchImages, options: BatchSourceOptions, most: number = room(options.device)) {
    const { pairs, labelled, count } = images, { labels, classes = [] } = labelled ?? pairs ?? {};
    this.notes = options.notes ?? [];
    const open = (dataset: ImageDataset) => {
      const { byteLength } = dataset.images, fits = byteLength <= most;
      if (fits) most -= byteLength;
      else this.notes.push(sentNote(dataset, most));
      return new DeviceImages(dataset, options.device, fits);
    };
    this.count = count;
    this.classes = labels === undefined ? 0 : classes.length;
    this.#pairs = pairs && open(pairs);
    this.#labelled = labelled && open(labelled);
    this.#options = options;
    this.#orders = new EpochOrders(count, options.seed);
  }

  prepare({ epoch, step }: BatchPlace): Prepared {
    return this.#prepare(epoch, epoch, step);
  }

  prepareValidation(index: number): Prepared {
    return this.#prepare(0, VALIDATION_EPOCH, index);
  }

  #prepare(orderEpoch: number, epoch: number, step: number): Prepared {
    const { views, batchSize, seed, rank, processes } = this.#options;
    const whole = batchSize * processes, mine = batchSize * rank;
    const start = (step % Math.floor(this.count / whole)) * whole;
    const picked = this.#orders.slice(orderEpoch, start + mine, batchSize);
    const key = { seed, epoch, step };
    const pairs = this.#pairs?.prepare(picked, views, { ...key, first: mine });
    // The places behind the whole batch, so that nothing is drawn twice.
    const labelled = this.#labelled?.prepare(picked, views, { ...key, first: whole + mine });
    return {
      toBatch: () => ({
        ...(pairs && { pairs: pairs.pairs() }),
        ...(labelled && { labeled: labelled.firstViews() }),
      }),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#pairs?.[Symbol.dispose]();
    this.#labelled?.[Symbol.dispose]();
    return Promise.resolve();
  }
}

function sentNote({ images: { byteLength } }: ImageDataset, most: number): string {
  const size = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  return `The images stay in the machine's memory and each batch is sent: they need ${
    size(byteLength)
  }, and of the ` +
    `GPU's memory ${size(most)} are for them`;
}

/** Images of one size for a device. */
class DeviceImages implements Disposable {
  readonly #images: Tensor;
  readonly #labels: Tensor | null;
  readonly #device: string;
  readonly #fits: boolean;

  /** @param fits whether the images lie on the device; their labels do in any case */
  constructor({ images, labels, count, height, width }: ImageDataset, device: string, fits: boolean) {
    this.#device = device;
    this.#fits = fits;
    const place = fits ? device : "cpu";
    this.#images = keep(
      scope(() => borrowTypedArray(images, [count, 3, height, width]).to({ device: place })),
    );
    this.#labels = labels === undefined
      ? null
      : keep(scope(() => fromTypedArray(labels).to({ dtype: "int64", device })));
  }

  /** Draws what is done to the images whose numbers are picked, modulo how many there are. */
  prepare(picked: Uint32Array, recipes: ViewRecipes, key: DrawKey) {
    const images = this.#images, labels = this.#labels, [count, , height, width] = images.shape;
    const numbers = Int32Array.from(picked, (number) => number % count);
    const parameters = drawViews(recipes, equalSizes(numbers.length, height, width), key);
    const index = () => upload(numbers, this.#device);
    // All images and which of them the batch has, or the images of the batch alone.
    const chosen = (rows: Tensor): [images: Tensor, rows?: Tensor] =>
      this.#fits ? [images, rows] : [send(images.indexSelect(0, fromTypedArray(numbers)), this.#device)];
    return {
      pairs: (): Pairs => {
        const rows = index(), [from, which] = chosen(rows);
        const made = makeViews(from, parameters, recipes.size, which);
        return { ...made, labels: labels && labels.indexSelect(0, rows) };
      },
      firstViews: (): LabeledViews => {
        const rows = index(), [from, which] = chosen(rows);
        const views = makeFirstViews(from, parameters, recipes.size, which);
        return { views, labels: labels!.indexSelect(0, rows) };
      },
    };
  }

  [Symbol.dispose](): void {
    this.#images[Symbol.dispose]();
    this.#labels?.[Symbol.dispose]();
  }
}
