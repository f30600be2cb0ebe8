/**
 * Solarisation: bright pixels are inverted.
 *
 * @module
 */

import { where } from "../torch/functional.ts";
import { call } from "../torch/operator.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";

/** 1 - x where a pixel's channel is at least 0.5, else x. */
export function solarize(images: Tensor): Tensor {
  return scope(() => where(images.ge(0.5), call("aten::rsub.Scalar", images, 1), images));
}
