/**
 * Seeded random generators of libtorch.
 *
 * @module
 */

import { check, FREED, native, nativeError } from "./library.ts";

/** A net only, as for tensors: frees generators that nobody disposed of. */
const forgotten = new FinalizationRegistry<number>((handle) => void native.stec_generator_free(handle));

/**
 * A source of random numbers for operators such as `normal_`, on the CPU.
 *
 * @example
 * ```ts
 * import { Generator, zeros } from "@stec/stec";
 * using generator = new Generator(42);
 * using noise = zeros([3]).normal_(0, 1, generator);
 * ```
 */
export class Generator implements Disposable {
  /** The shim's handle, `FREED` once freed. */
  handle: number;

  /**
   * A generator in the state that follows from the seed.
   *
   * @param seed a safe integer
   */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) {
      throw new RangeError(`Cannot seed a generator: a safe integer is needed, got ${seed}`);
    }
    this.handle = native.stec_generator_new(seed);
    if (this.handle < 0) throw nativeError("create a generator");
    forgotten.register(this, this.handle, this);
  }

  /** Frees the generator. */
  [Symbol.dispose](): void {
    if (this.handle === FREED) return;
    forgotten.unregister(this);
    check(native.stec_generator_free(this.handle), "free a generator");
    this.handle = FREED;
  }
}
