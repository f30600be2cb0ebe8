/**
 * Memory that threads share by counting.
 *
 * @module
 */

/** An amount that is handed out in parts. */
export interface Budget {
  /** Takes a part and returns it when disposed. It must be at most the whole. */
  take(amount: number): Disposable;
}

/** A budget without a limit, for a thread that decodes alone. */
export const UNLIMITED: Budget = { take: () => ({ [Symbol.dispose]: () => {} }) };

/** A budget that several threads take from. One that wants more than is left waits until others have returned theirs. */
export class SharedBudget implements Budget {
  /** What threads share: one 32-bit integer, the amount that is left. */
  readonly memory: SharedArrayBuffer;
  readonly #left: Int32Array<SharedArrayBuffer>;

  /** The budget that lies in this memory. */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#left = new Int32Array(memory);
  }

  /** A new budget of a whole below 2^31. */
  static of(whole: number): SharedBudget {
    const memory = new SharedArrayBuffer(4);
    new Int32Array(memory)[0] = whole;
    return new SharedBudget(memory);
  }

  /** Takes a part; blocks the thread while too little is left, so the main thread must not call it. */
  take(amount: number): Disposable {
    const left = this.#left;
    for (;;) {
      const seen = Atomics.load(left, 0);
      if (seen < amount) Atomics.wait(left, 0, seen);
      else if (Atomics.compareExchange(left, 0, seen, seen - amount) === seen) break;
    }
    return {
      [Symbol.dispose]: () => {
        Atomics.add(left, 0, amount);
        Atomics.notify(left, 0);
      },
    };
  }
}
