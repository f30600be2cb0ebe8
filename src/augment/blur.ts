/**
 * Gaussian blur, each image with its own width.
 *
 * @module
 */

import { arange } from "../torch/create.ts";
import { reflectionPad2d } from "../torch/functional.ts";
import { call } from "../torch/operator.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { PixelTransform } from "./transform.ts";

/** The number of taps for images of a size: a tenth of it, made odd. */
export function blurKernelSize(size: number): number {
  const taps = Math.floor(size / 10);
  return taps % 2 === 0 ? taps + 1 : taps;
}

/**
 * Blurs each image with a Gaussian of its own standard deviation, rows first, then columns; the image is continued by
 * reflection without repeating its edge.
 *
 * @param images (B, C, H, W), float
 * @param sigma standard deviations in pixels: (B), above 0
 * @param taps the odd length of the kernel
 */
export function gaussianBlur(images: Tensor, sigma: Tensor, taps: number): Tensor {
  const [batch, channels, height, width] = images.shape;
  const planes = batch * channels, radius = (taps - 1) / 2;
  return scope(() => {
    const distance = arange(-radius, radius + 1, { dtype: "float32", device: images.device });
    const kernel = distance.div(sigma.reshape(-1, 1, 1)).pow(2).mul(-0.5).softmax(2);
    const kernels = kernel.expand(batch, channels, taps).to({ dtype: images.dtype });
    const padded = reflectionPad2d(images, radius).reshape(
      1,
      planes,
      height + 2 * radius,
      width + 2 * radius,
    );
    const rows = convolvePlanes(padded, kernels.reshape(planes, 1, 1, taps));
    return convolvePlanes(rows, kernels.reshape(planes, 1, taps, 1)).reshape(...images.shape);
  });
}

/** Convolves each plane (1, planes, H, W) with its own kernel (planes, 1, h, w). */
function convolvePlanes(planes: Tensor, kernels: Tensor): Tensor {
  return call("aten::conv2d", planes, kernels, null, [1, 1], [0, 0], [1, 1], kernels.shape[0]);
}

/** The bounds of the standard deviation for views of 224 pixels. */
const SIGMA_AT_224 = [0.1, 2] as const;

/**
 * A step that blurs views at random.
 *
 * @param options probability: the share of views that are blurred. sigma: the smallest and the largest standard
 * deviation, for views of 224 pixels; it grows with the size of the views.
 */
export function randomGaussianBlur(
  options: {
    readonly size: number;
    readonly probability?: number;
    readonly sigma?: readonly [least: number, most: number];
  },
): PixelTransform {
  const { size, probability = 0.5, sigma = SIGMA_AT_224 } = options, scale = size / 224;
  return {
    name: "blur",
    probability,
    columns: 1,
    draw: (random, numbers) => void (numbers[0] = random.uniform(sigma[0] * scale, sigma[1] * scale)),
    apply: blur,
    describe: ([sigma]) => [`blur σ ${sigma.toFixed(2)}`],
  };
}

function blur(views: Tensor, numbers: Tensor): Tensor {
  return gaussianBlur(views, numbers.select(1, 0), blurKernelSize(views.shape[2]));
}
