/**
 * Color changes of a batch of images (B, 3, H, W) in [0, 1], each image with its own factors.
 *
 * The formulas are torchvision's and Pillow's, in float arithmetic without rounding to whole gray levels. Functions
 * whose name ends in an underscore change the images themselves.
 *
 * @module
 */

import { call, callInPlace } from "../torch/operator.ts";
import { scope } from "../torch/scope.ts";
import type { Random } from "../base/random.ts";
import type { Operand, Tensor } from "../torch/tensor.ts";
import { luma } from "./grayscale.ts";
import type { PixelTransform } from "./transform.ts";

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
 * Turns the hue of each image by a share of the color circle, in [-1/2, 1/2].
 *
 * A color is lowest + chroma * (pure color of its hue). Here the hue is measured from cyan, in turns: the distance
 * from cyan grows with red's lead, and blue or green says on which side. This takes no case distinction.
 *
 * @param turns (B)
 */
export function shiftHue_(images: Tensor, turns: Tensor): Tensor {
  scope(() => {
    const [red, green, blue] = images.unbind(1);
    const lowest = red.minimum(green).minimum(blue);
    const chroma = red.maximum(green).maximum(blue).sub(lowest);
    // -1 at red, 2 at cyan. A gray pixel may have any hue but NaN.
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

/** The changes of color jitter, by their numbers in its columns. */
const CHANGES = ["brightness", "contrast", "saturation", "hue"] as const;
const HUE = 3, BLENDS = 3;
/**
 * First columns: the numbers of the changes in their order, the factor of each change (of hue: the turn), and the
 * weights of the three blends in their order.
 */
const ORDER = 0, FACTORS = 4, WEIGHTS = 8, COLUMNS = 17;

/**
 * Brightness, contrast, saturation and hue, changed in a random order.
 *
 * A group holds the views that change their hue at the same position. The other changes are blends, and one call
 * applies them whatever their order is.
 *
 * @param options probability: the share of views that change. strength s: factors are uniform in
 * [max(0, 1 - 0.8 s), 1 + 0.8 s], turns of the hue in [-0.2 s, 0.2 s].
 */
export function randomColorJitter(
  { probability = 0.8, strength = 1 }: { readonly probability?: number; readonly strength?: number } = {},
): PixelTransform {
  return {
    name: "color jitter",
    probability,
    columns: COLUMNS,
    draw: (random, numbers) => drawChanges(strength, random, numbers),
    group: huePosition,
    apply: jitter_,
    describe: describeChanges,
  };
}

function drawChanges(strength: number, random: Random, numbers: Float32Array): void {
  const order = numbers.subarray(ORDER, FACTORS), spread = 0.8 * strength;
  for (let change = 0; change < CHANGES.length; change++) order[change] = change;
  random.shuffle(order);
  for (let change = 0; change < HUE; change++) {
    numbers[FACTORS + change] = random.uniform(Math.max(0, 1 - spread), 1 + spread);
  }
  numbers[FACTORS + HUE] = random.uniform(-0.2 * strength, 0.2 * strength);
  let at = WEIGHTS;
  for (const change of order) {
    const kind = CHANGES[change];
    if (kind === "hue") continue;
    numbers.set(blendWeights(kind, numbers[FACTORS + change]), at);
    at += 3;
  }
}

/** The position of the hue among the changes, from 1. */
function huePosition(numbers: Float32Array): number {
  return 1 + numbers.indexOf(HUE, ORDER);
}

function jitter_(views: Tensor, numbers: Tensor, huePosition: number): Tensor {
  for (let blend = 0; blend <= BLENDS; blend++) {
    if (blend === huePosition - 1) shiftHue_(views, numbers.select(1, FACTORS + HUE));
    const start = WEIGHTS + 3 * blend;
    if (blend < BLENDS) blend_(views, numbers.slice(1, start, start + 3));
  }
  return views;
}

function describeChanges(numbers: Float32Array): string[] {
  return Array.from(numbers.subarray(ORDER, FACTORS), (change) => {
    const factor = numbers[FACTORS + change];
    if (change !== HUE) return `${CHANGES[change]} × ${factor.toFixed(2)}`;
    return `hue ${factor < 0 ? "−" : "+"}${Math.abs(360 * factor).toFixed(0)}°`;
  });
}
