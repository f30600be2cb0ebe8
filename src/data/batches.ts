/**
 * Batches of two views each, in the order of the epochs.
 *
 * @module
 */

import { drawViews, equalSizes, type ViewSettings } from "../augment/parameters.ts";
import { makeViews } from "../augment/views.ts";
import type { Batch } from "../ssl/stec.ts";
import { borrowTypedArray, fromTypedArray } from "../torch/create.ts";
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
  /** Computes the views on the device. Call it inside a `scope`. */
  toBatch(): Batch;
}

/** Makes batches. Which images a batch has and what is done to them depends on the seed and its place alone. */
export interface BatchSource extends Disposable {
  /** Images of an epoch. */
  readonly count: number;
  /** Classes of the labels; 0 where there are none. */
  readonly classes: number;
  /** Batches of a validation. */
  readonly validationBatches: number;
  /** What the validation looks at, in words. */
  readonly validationNote: string;
  /** Gets a training batch's data. */
  prepare(place: BatchPlace): Prepared | Promise<Prepared>;
  /** Gets a validation batch's data. */
  prepareValidation(index: number): Prepared | Promise<Prepared>;
}

/** What a source needs to know besides its images. */
export interface BatchSourceOptions {
  /** How views are made. */
  readonly views: ViewSettings;
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
}

/** The epoch that validation views are drawn in, which no run reaches. */
const VALIDATION_EPOCH = 0xffffffff;

/** Batches of images that lie in memory, and on the device, as one tensor. */
export class MemoryBatches implements BatchSource {
  readonly count: number;
  readonly classes: number;
  readonly validationBatches: number = 2;
  readonly validationNote = "two batches of augmented training images, as in the reference";
  readonly #images: Tensor;
  readonly #labels: Tensor | null;
  readonly #size: readonly [height: number, width: number];
  readonly #options: BatchSourceOptions;
  readonly #orders: EpochOrders;

  /** Moves the images to the device. */
  constructor(dataset: ImageDataset, options: BatchSourceOptions) {
    const { count, height, width, labels } = dataset, { device } = options;
    this.count = count;
    this.classes = labels === undefined ? 0 : dataset.classes.length;
    this.#images = keep(
      scope(() => borrowTypedArray(dataset.images, [count, 3, height, width]).to({ device })),
    );
    this.#labels = labels === undefined
      ? null
      : keep(scope(() => fromTypedArray(labels).to({ dtype: "int64", device })));
    this.#size = [height, width];
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
    const { views, batchSize, seed, rank, processes, device } = this.#options;
    const start = (step * processes + rank) * batchSize;
    const picked = Int32Array.from(this.#orders.slice(orderEpoch, start % this.count, batchSize));
    const parameters = drawViews(views, equalSizes(picked.length, ...this.#size), {
      seed,
      epoch,
      step,
      rank,
    });
    return {
      toBatch: () => {
        const index = fromTypedArray(picked).to({ device });
        const made = makeViews(this.#images, parameters, views.size, index);
        return { ...made, labels: this.#labels?.indexSelect(0, index) ?? null };
      },
    };
  }

  /** Frees the images. */
  [Symbol.dispose](): void {
    this.#images[Symbol.dispose]();
    this.#labels?.[Symbol.dispose]();
  }
}
