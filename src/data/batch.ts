/**
 * What one training step learns from.
 *
 * @module
 */

import type { Views } from "../augment/views.ts";
import type { Tensor } from "../torch/tensor.ts";

/** Two views of each of N images, their efference copies, and the classes of the images. */
export interface Pairs extends Views {
  /** Classes of the N images, int64: (N); null if they are unknown. */
  readonly labels: Tensor | null;
}

/** One view of each of N images with known classes. */
export interface LabeledViews {
  /** Pixels in [0, 1]: (N, 3, S, S), float32. */
  readonly views: Tensor;
  /** Classes of the images, int64: (N). */
  readonly labels: Tensor;
}

/** A batch: pairs to learn a representation from, labeled views to learn classes from, or both. */
export interface Batch {
  /** Absent in linear evaluation, which needs no pairs. */
  readonly pairs?: Pairs;
  /** Absent if the classes are those of the pairs, or unknown. */
  readonly labeled?: LabeledViews;
}

/**
 * The pairs of a batch.
 *
 * @throws {TypeError} if it has none
 */
export function pairsOf({ pairs }: Batch): Pairs {
  if (pairs === undefined) throw new TypeError("Cannot learn from pairs of views: the batch has none");
  return pairs;
}
