/**
 * The order in which an epoch shows the images.
 *
 * @module
 */

import { Random } from "../base/random.ts";

/** Keeps the shuffles apart from whatever else is drawn from the same seed. */
const STREAM = 0x6f72;

/** A shuffle of the numbers 0 to `count` - 1 that depends on seed and epoch alone. */
export function epochOrder(count: number, seed: number, epoch: number): Uint32Array<ArrayBuffer> {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  return new Random(seed, STREAM, epoch).shuffle(order);
}

/** The orders of epochs, the last one remembered. */
export class EpochOrders {
  readonly #count: number;
  readonly #seed: number;
  #epoch = -1;
  #order: Uint32Array<ArrayBuffer> = new Uint32Array();

  /** For a data set of `count` images. */
  constructor(count: number, seed: number) {
    this.#count = count;
    this.#seed = seed;
  }

  /** The numbers of the images at positions `start` to `start + length` of an epoch. */
  slice(epoch: number, start: number, length: number): Uint32Array<ArrayBuffer> {
    if (epoch !== this.#epoch) {
      this.#order = epochOrder(this.#count, this.#seed, epoch);
      this.#epoch = epoch;
    }
    return this.#order.slice(start, start + length);
  }
}
