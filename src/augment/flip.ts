/**
 * Flipping images left-right.
 *
 * @module
 */

import { where } from "../torch/functional.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";

/**
 * Flips some images of a batch left-right.
 *
 * @param images (B, C, H, W), any dtype
 * @param mask which to flip: (B), bool
 */
export function flipLeftRight(images: Tensor, mask: Tensor): Tensor {
  return scope(() => where(mask.reshape(-1, 1, 1, 1), images.flip(3), images));
}
