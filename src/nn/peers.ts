/**
 * What a process sees of the processes that it trains with.
 *
 * @module
 */

import type { Tensor } from "../torch/tensor.ts";

/** How a batch is spread over processes. */
export interface Gathering {
  /** This process's number. */
  readonly rank: number;
  /** The number of processes. */
  readonly size: number;
  /** All processes' rows (N, D) in the order of their ranks, (size N, D), with a gradient that returns to each. */
  gather(rows: Tensor): Tensor;
  /** Replaces a tensor by its mean over all processes, without a gradient, and returns it. */
  mean_(tensor: Tensor): Tensor;
}

/** A process that has the whole batch. */
export const UNDIVIDED: Gathering = { rank: 0, size: 1, gather: (rows) => rows, mean_: (tensor) => tensor };

/** What processes must have in common to train together: words for each fact's name. */
export type Facts = Readonly<Record<string, string>>;

/** The processes that share each batch. Each calls the same methods in the same order. */
export interface Peers extends Gathering {
  /** Copies tensors from process 0 into those of all others. */
  share(tensors: readonly Tensor[]): void;
  /** Whether a condition holds on any of them. */
  any(condition: boolean): boolean;
  /**
   * Compares what this process works with with the others, before they compute anything together.
   *
   * @param gpu the UUID of this process's GPU, which no other may use; null on the CPU
   * @throws {Error} if they cannot train together: the message names a rank and what differs
   */
  agree(facts: Facts, gpu: string | null): Promise<void>;
  /** Ends the work together: waits until all have come this far, then closes the connections. */
  part(): void;
}

/** A process that trains alone. */
export const ALONE: Peers = {
  ...UNDIVIDED,
  share: () => {},
  any: (condition) => condition,
  agree: () => Promise.resolve(),
  part: () => {},
};
