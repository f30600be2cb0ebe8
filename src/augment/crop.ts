/**
 * Random crops, drawn on the CPU, and their resizing, on the images' device.
 *
 * @module
 */

import type { Random } from "../base/random.ts";
import { arange } from "../torch/create.ts";
import { where } from "../torch/functional.ts";
import { call, callInPlace } from "../torch/operator.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";

/** A rectangle of an image, in pixels. */
export interface Crop {
  /** Rows above it. */
  readonly top: number;
  /** Columns to its left. */
  readonly left: number;
  /** Its rows. */
  readonly height: number;
  /** Its columns. */
  readonly width: number;
}

/** Random crops, by the rule of torchvision's `RandomResizedCrop`. */
export interface RandomResizedCrop {
  /** Tells geometric transforms apart. */
  readonly geometric: "crop";
  /** The smallest and the largest share of the area that a crop covers. */
  readonly scale: readonly [least: number, most: number];
  /** The smallest and the largest ratio of width to height; a ratio and its inverse are equally likely. */
  readonly ratio: readonly [least: number, most: number];
}

const TRIES = 10;

/** A step that crops views at random. */
export function randomResizedCrop(
  { scale = [0.08, 1], ratio = [3 / 4, 4 / 3] }: Partial<RandomResizedCrop> = {},
): RandomResizedCrop {
  return { geometric: "crop", scale, ratio };
}

/** Draws a crop inside a rectangle. */
export function drawCrop({ scale, ratio }: RandomResizedCrop, random: Random, outer: Crop): Crop {
  const logRatio = [Math.log(ratio[0]), Math.log(ratio[1])] as const;
  for (let i = 0; i < TRIES; i++) {
    const area = outer.height * outer.width * random.uniform(...scale);
    const drawnRatio = Math.exp(random.uniform(...logRatio));
    const width = Math.round(Math.sqrt(area * drawnRatio)), height = Math.round(Math.sqrt(area / drawnRatio));
    if (width > 0 && width <= outer.width && height > 0 && height <= outer.height) {
      const top = outer.top + random.below(outer.height - height + 1);
      const left = outer.left + random.below(outer.width - width + 1);
      return { top, left, height, width };
    }
  }
  return centerCrop(outer, ratio);
}

/** The largest crop in the middle whose ratio is allowed. */
function centerCrop(outer: Crop, ratio: RandomResizedCrop["ratio"]): Crop {
  const height = Math.min(outer.height, Math.round(outer.width / ratio[0]));
  const width = Math.min(outer.width, Math.round(outer.height * ratio[1]));
  return {
    top: outer.top + Math.floor((outer.height - height) / 2),
    left: outer.left + Math.floor((outer.width - width) / 2),
    height,
    width,
  };
}

/**
 * Cuts one rectangle out of each image and resizes it to a square: bilinear and, where it shrinks, antialiased as in
 * Pillow, but without rounding to whole gray levels.
 *
 * Resizing is linear and separable, so that the whole batch takes two matrix products, with a matrix of weights for each
 * image and axis. A left-right flip reverses the rows of one matrix and costs nothing.
 *
 * @param images (B, 3, H, W), uint8
 * @param boxes top, left, height, width of each crop and 1 if the result is flipped, else 0: (B, 5), float32
 * @param out receives the result, and is returned, instead of new memory
 * @returns (B, 3, size, size) in [0, 1], float32
 */
export function resizedCrop(images: Tensor, boxes: Tensor, size: number, out?: Tensor): Tensor {
  const [, , height, width] = images.shape;
  return scope(() => {
    const [top, left, cropHeight, cropWidth, flipped] = boxes.reshape(-1, 5, 1, 1).unbind(1);
    const vertical = resizeWeights(top, cropHeight, null, height, size);
    const horizontal = resizeWeights(left, cropWidth, flipped, width, size).mul_(1 / 255);
    const wide = call("aten::bmm", images.float().reshape(-1, 3 * height, width), horizontal.transpose());
    const resized = vertical.unsqueeze(1).matmul(wide.reshape(-1, 3, height, size));
    // Weights sum to one but for rounding.
    if (out === undefined) return resized.clamp_(0, 1);
    callInPlace("aten::clamp.out", resized, 0, 1, out);
    return out;
  });
}

/**
 * How much each of `inputs` pixels of an axis contributes to each of `size` pixels of the result, (B, size, inputs).
 *
 * @param start the crop's first pixel, (B, 1, 1)
 * @param length its number of pixels, (B, 1, 1)
 * @param flipped whether the result is reversed, (B, 1, 1)
 */
function resizeWeights(
  start: Tensor,
  length: Tensor,
  flipped: Tensor | null,
  inputs: number,
  size: number,
): Tensor {
  const middles = (count: number) => arange(0, count, { dtype: "float32", device: start.device }).add_(0.5);
  const scale = length.div(size);
  // Both in pixels of the input, from the crop's edge on.
  const pixel = middles(inputs).sub(start);
  let center = middles(size).reshape(1, size, 1).mul(scale);
  if (flipped !== null) center = where(flipped.gt(0), length.sub(center), center);
  if (inputs <= size) {
    // No crop shrinks: two neighbours share a pixel, at the edge one has it alone.
    const last = length.sub(0.5).expand(...center.shape);
    return triangle(pixel.sub(center.minimum(last).clamp_(0.5)));
  }
  const weights = triangle(pixel.sub(center).div_(scale.clamp(1)));
  weights.mul_(pixel.gt(0).logicalAnd(pixel.lt(length)));
  return weights.div_(weights.sum([2], true));
}

/** max(0, 1 - |x|); x is overwritten. */
function triangle(x: Tensor): Tensor {
  callInPlace("aten::abs_", x);
  return call("aten::rsub.Scalar", x, 1).relu_();
}
