/**
 * Colour changes of a batch of images (B, 3, H, W) in [0, 1], each image with its own factors.
 *
 * The formulas are torchvision's and Pillow's, in float arithmetic without rounding to whole grey levels. Functions
 * whose name ends in an underscore change the images themselves.
 *
 * @module
 */

import { call, callInPlace } from "../torch/operator.ts";
import { scope } from "../torch/scope.ts";
import type { Operand, Tensor } from "../torch/tensor.ts";
import { luma } from "./grayscale.ts";

/** scale * x + offset. */
function affine(x: Tensor, scale: number, offset: number): Tensor {
  return call("aten::rsub.Scalar", x, offset, -scale);
}

/** Writes base + x * factor, broadcast, to `out`, which may be one of them. */
function multiplyAdd(base: Tensor, x: Tensor, factor: Operand, out: Tensor): void {
  callInPlace("aten::addcmul.out", base, x, factor, 1, out);
}

/**
 * Blends each image with its luma and with the mean of its luma:
 * x becomes clamp(own * x + gray * luma + mean * mean(luma), 0, 1).
 *
 * Brightness, contrast and saturation are all of this form, see `blendWeights`; so a batch in which every image is at
 * another of them takes one call.
 *
 * @param weights own, gray, mean of each image: (B, 3)
 */
export function blend_(images: Tensor, weights: Tensor): Tensor {
  scope(() => {
    const [own, gray, mean] = weights.reshape(-1, 3, 1, 1, 1).unbind(1);
    const shade = luma(images);
    multiplyAdd(shade.mean([1, 2, 3], true).mul_(mean), shade, gray, shade);
    multiplyAdd(shade, images, own, images);
    images.clamp_(0, 1);
  });
  return images;
}

/** The changes that are blends. */
export type Blend = "brightness" | "contrast" | "saturation";

/** The weights with which `blend_` changes brightness, contrast or saturation by a factor (1: not at all). */
export function blendWeights(kind: Blend, factor: number): [own: number, gray: number, mean: number] {
  switch (kind) {
    case "brightness":
      return [factor, 0, 0];
    case "contrast":
      return [factor, 0, 1 - factor];
    case "saturation":
      return [factor, 1 - factor, 0];
  }
}

/**
 * Turns the hue of each image by a share of the colour circle, in [-1/2, 1/2].
 *
 * A colour is lowest + chroma * (pure colour of its hue). Here the hue is measured from cyan, in turns: the distance
 * from cyan grows with red's lead, and blue or green says on which side. This takes no case distinction.
 *
 * @param turns (B)
 */
export function shiftHue_(images: Tensor, turns: Tensor): Tensor {
  scope(() => {
    const [red, green, blue] = images.unbind(1);
    const lowest = red.minimum(green).minimum(blue);
    const chroma = red.maximum(green).maximum(blue).sub(lowest);
    // -1 at red, 2 at cyan. Of a grey pixel any hue will do, but not NaN.
    const lead = green.add(blue).sub(red).sub(lowest).div(chroma.clamp(1e-12));
    const hue = call("aten::copysign.Tensor", affine(lead, -1 / 6, 1 / 3), blue.sub(green));
    hue.add_(turns.reshape(-1, 1, 1));
    hue.add_(hue.round(), -1);
    const pure = [
      affine(hue.abs(), 6, -1),
      affine(affine(hue, 6, 1).abs(), -1, 2),
      affine(affine(hue, 6, -1).abs(), -1, 2),
    ];
    for (const [i, channel] of [red, green, blue].entries()) {
      multiplyAdd(lowest, chroma, pure[i].clamp_(0, 1), channel);
    }
  });
  return images;
}
