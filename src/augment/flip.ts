/**
 * Flipping images left-right.
 *
 * @module
 */

import type { Random } from "../base/random.ts";
import { where } from "../torch/functional.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";

/** Random left-right flips. */
export interface RandomHorizontalFlip {
  /** Tells geometric transforms apart. */
  readonly geometric: "flip";
  /** The share of views that are flipped. */
  readonly probability: number;
}

/** A step that flips views at random. Resampling takes care of it, at no cost. */
export function randomHorizontalFlip(
  { probability = 0.5 }: Partial<RandomHorizontalFlip> = {},
): RandomHorizontalFlip {
  return { geometric: "flip", probability };
}

/** Draws whether a view is flipped. */
export function drawFlip({ probability }: RandomHorizontalFlip, random: Random): boolean {
  return random.uniform() < probability;
}

/**
 * Flips some images of a batch left-right.
 *
 * @param images (B, C, H, W), any dtype
 * @param mask which to flip: (B), bool
 */
export function flipLeftRight(images: Tensor, mask: Tensor): Tensor {
  return scope(() => where(mask.reshape(-1, 1, 1, 1), images.flip(3), images));
}
