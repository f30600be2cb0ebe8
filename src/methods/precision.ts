/**
 * The precision of losses and the shares beside them.
 *
 * @module
 */

import type { Tensor } from "../torch/tensor.ts";

/** The values in float32 or, if they are float64, as they are. Losses in 16 bits would lose too much. */
export function widened(values: Tensor): Tensor {
  return values.dtype === "float64" ? values : values.float();
}

/** The share of true elements. */
export function meanOf(condition: Tensor): Tensor {
  return condition.float().mean();
}
