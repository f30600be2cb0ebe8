/**
 * Solarization: bright pixels are inverted.
 *
 * @module
 */

import { where } from "../torch/functional.ts";
import { call } from "../torch/operator.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { PixelTransform } from "./transform.ts";

/** 1 - x where a pixel's channel is at least 0.5, else x. */
export function solarize(images: Tensor): Tensor {
  return scope(() => where(images.ge(0.5), call("aten::rsub.Scalar", images, 1), images));
}

/** A step that solarizes views at random. The manipulation loss leaves out their pairs. */
export function randomSolarize(
  { probability = 0.2 }: { readonly probability?: number } = {},
): PixelTransform {
  return { name: "solarized", probability, columns: 0, excludesPair: true, apply: solarize };
}
