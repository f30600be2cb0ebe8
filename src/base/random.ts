/**
 * Counter-based random numbers: what is drawn depends on the key alone, so that resuming is exact
 * without saving a generator, and every machine draws the same.
 *
 * The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011),
 * the one that CUDA and PyTorch use as well.
 *
 * @module
 */

const ROUNDS = 10;

/** The high 32 bits of the product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff, aHigh = a >>> 16, bLow = b & 0xffff, bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/**
 * One Philox4x32-10 block: four unsigned 32-bit numbers from a counter of four and a key of two.
 *
 * @param out receives the block, length 4
 */
export function philox(
  out: Uint32Array,
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
): void {
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0), low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high1 = multiplyHigh(0xcd9e8d57, c2), low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/**
 * A stream of random numbers that is a pure function of its seed and up to three stream numbers, for
 * instance (epoch, step, rank).
 *
 * @example
 * ```ts
 * import { Random } from "./random.ts";
 * const a = new Random(42, 1, 7), b = new Random(42, 1, 7);
 * console.assert(a.uniform() === b.uniform());
 * ```
 */
export class Random {
  readonly #key: readonly [number, number];
  readonly #stream: readonly [number, number, number];
  readonly #block = new Uint32Array(4);
  #counter = 0;
  #left = 0;

  /**
   * The stream of a seed and stream numbers.
   *
   * @param seed a safe integer; both its halves enter the key
   * @param stream up to three unsigned 32-bit numbers that tell streams of the same seed apart
   */
  constructor(seed: number, ...stream: readonly [number?, number?, number?]) {
    if (!Number.isSafeInteger(seed)) {
      throw new RangeError(`Cannot seed: a safe integer is needed, got ${seed}`);
    }
    this.#key = [seed >>> 0, Math.floor(seed / 0x100000000) >>> 0];
    this.#stream = [(stream[0] ?? 0) >>> 0, (stream[1] ?? 0) >>> 0, (stream[2] ?? 0) >>> 0];
  }

  /** The next unsigned 32-bit integer. */
  uint32(): number {
    if (this.#left === 0) {
      philox(this.#block, this.#counter++, ...this.#stream, ...this.#key);
      this.#left = 4;
    }
    return this.#block[4 - this.#left--];
  }

  /** A number in [0, 1) with 53 random bits; uniform in [low, high) when bounds are given. */
  uniform(low = 0, high = 1): number {
    const unit = ((this.uint32() >>> 5) * 0x4000000 + (this.uint32() >>> 6)) / 0x20000000000000;
    return low + (high - low) * unit;
  }

  /** An integer in [0, bound), each equally likely: biased candidates are drawn again. */
  below(bound: number): number {
    const limit = 0x100000000 - (0x100000000 % bound);
    for (;;) {
      const candidate = this.uint32();
      if (candidate < limit) return candidate % bound;
    }
  }

  /** Shuffles in place (Fisher-Yates) and returns its argument. */
  shuffle<T extends { length: number; [index: number]: number }>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const swapped = items[i];
      items[i] = items[j];
      items[j] = swapped;
    }
    return items;
  }
}
