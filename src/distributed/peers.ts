/**
 * What a process sees of those that it trains together with.
 *
 * @module
 */

import { type Gathering, UNDIVIDED } from "../ssl/nt_xent.ts";
import type { Tensor } from "../torch/tensor.ts";

/** The processes that share each batch. Each calls the same methods in the same order. */
export interface Peers extends Gathering {
  /** Copies tensors from process 0 into those of all others. */
  share(tensors: readonly Tensor[]): void;
  /** Whether a condition holds on any of them. */
  any(condition: boolean): boolean;
}

/** A process that trains alone. */
export const ALONE: Peers = { ...UNDIVIDED, share: () => {}, any: (condition) => condition };
