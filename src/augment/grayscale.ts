/**
 * Grayscale images: the luma in all three channels.
 *
 * @module
 */

import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { PixelTransform } from "./transform.ts";

/** The luma weights of ITU-R 601. */
const LUMA = [0.299, 0.587, 0.114] as const;

/** The brightness that the eye sees, (B, 1, H, W). */
export function luma(images: Tensor): Tensor {
  const [red, green, blue] = images.chunk(3, 1);
  return red.mul(LUMA[0]).add_(green, LUMA[1]).add_(blue, LUMA[2]);
}

/** Replaces every channel by the luma. */
export function grayscale_(images: Tensor): Tensor {
  scope(() => void images.copy_(luma(images)));
  return images;
}

/** A step that removes the color of views at random. */
export function randomGrayscale(
  { probability = 0.2 }: { readonly probability?: number } = {},
): PixelTransform {
  return { name: "grayscale", probability, columns: 0, group: () => 1, apply: grayscale_ };
}
