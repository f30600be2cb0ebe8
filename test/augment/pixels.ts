/** Images as plain arrays, changed one pixel at a time: what the batched operations must agree with. */

import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { fromTypedArray } from "../device.ts";
import { img } from "../golden.ts";

/** An image of three planes. */
export interface Image {
  readonly height: number;
  readonly width: number;
  /** Row-major planes. */
  readonly planes: readonly [Float64Array, Float64Array, Float64Array];
}

/** A colour of three channels. */
export type Color = readonly [number, number, number];

/** Made-up bytes, (count, 3, height, width), a function of their name. */
export function madeUpBytes(name: string, shape: readonly number[]): Tensor {
  return scope(() => img(name, shape).mul(255).round().to({ dtype: "uint8" }));
}

/** The images of a batch (B, 3, H, W), bytes as shares of 255. */
export function imagesOf(batch: Tensor): Image[] {
  const [count, , height, width] = batch.shape, pixels = height * width;
  const values = scope(() =>
    batch.double().div(batch.dtype === "uint8" ? 255 : 1).toTypedArray()
  ) as Float64Array;
  const plane = (i: number) => values.slice(i * pixels, (i + 1) * pixels);
  return Array.from({ length: count }, (_, i) => {
    return { height, width, planes: [plane(3 * i), plane(3 * i + 1), plane(3 * i + 2)] };
  });
}

/** The batch (B, 3, H, W) of images of one size, float64. */
export function batchOf(images: readonly Image[]): Tensor {
  const [{ height, width }] = images, pixels = height * width;
  const values = new Float64Array(images.length * 3 * pixels);
  images.forEach(({ planes }, i) => planes.forEach((plane, c) => values.set(plane, (3 * i + c) * pixels)));
  return fromTypedArray(values, [images.length, 3, height, width]);
}

/** The image with each pixel's colour changed. */
export function mapColors(image: Image, change: (color: Color) => Color): Image {
  const [red, green, blue] = image.planes.map((plane) => plane.slice());
  for (let i = 0; i < red.length; i++) [red[i], green[i], blue[i]] = change([red[i], green[i], blue[i]]);
  return { ...image, planes: [red, green, blue] };
}

/** ITU-R 601. */
export function luma([red, green, blue]: Color): number {
  return 0.299 * red + 0.587 * green + 0.114 * blue;
}

/** The mean luma of an image. */
export function meanLuma({ planes: [red, green, blue] }: Image): number {
  return red.reduce((sum, _, i) => sum + luma([red[i], green[i], blue[i]]), 0) / red.length;
}

function blended(color: Color, other: number, factor: number): Color {
  return color.map((x) => Math.min(1, Math.max(0, factor * x + (1 - factor) * other))) as unknown as Color;
}

/** Brightness, contrast, saturation and hue (in turns) changed, as torchvision does it. */
export const CHANGES = {
  brightness: (image: Image, factor: number) => mapColors(image, (color) => blended(color, 0, factor)),
  contrast: (image: Image, factor: number) => {
    const mean = meanLuma(image);
    return mapColors(image, (color) => blended(color, mean, factor));
  },
  saturation: (image: Image, factor: number) =>
    mapColors(image, (color) => blended(color, luma(color), factor)),
  hue: (image: Image, turns: number) =>
    mapColors(image, (color) => {
      const [hue, saturation, value] = toHsv(color);
      return fromHsv([hue + turns - Math.floor(hue + turns), saturation, value]);
    }),
} as const;

/** Every channel the luma. */
export function grayed(image: Image): Image {
  return mapColors(image, (color) => [luma(color), luma(color), luma(color)]);
}

function toHsv([red, green, blue]: Color): Color {
  const value = Math.max(red, green, blue), chroma = value - Math.min(red, green, blue);
  if (chroma === 0) return [0, 0, value];
  let sixths: number;
  if (value === red) sixths = (green - blue) / chroma;
  else if (value === green) sixths = 2 + (blue - red) / chroma;
  else sixths = 4 + (red - green) / chroma;
  return [(sixths < 0 ? sixths + 6 : sixths) / 6, chroma / value, value];
}

function fromHsv([hue, saturation, value]: Color): Color {
  const sector = Math.floor(hue * 6), part = hue * 6 - sector;
  const p = value * (1 - saturation), q = value * (1 - saturation * part);
  const t = value * (1 - saturation * (1 - part));
  const colors: readonly Color[] = [
    [value, t, p],
    [q, value, p],
    [p, value, t],
    [p, q, value],
    [t, p, value],
    [value, p, q],
  ];
  return colors[sector % 6];
}

/** The image left-right reversed. */
export function flipped(image: Image): Image {
  const { width } = image;
  const reverse = (plane: Float64Array) =>
    plane.map((_, i) => plane[Math.floor(i / width) * width + width - 1 - i % width]);
  return { ...image, planes: [reverse(image.planes[0]), reverse(image.planes[1]), reverse(image.planes[2])] };
}

/** The part of a plane that a crop (top, left, height, width) names. */
function cut(
  plane: Float64Array,
  stride: number,
  [top, left, height, width]: readonly number[],
): Float64Array {
  return Float64Array.from(
    { length: height * width },
    (_, i) => plane[(top + Math.floor(i / width)) * stride + left + i % width],
  );
}

/** Pillow's bilinear resize of one line of numbers: src/libImaging/Resample.c, precompute_coeffs. */
function resizeLine(line: Float64Array, size: number): Float64Array {
  const scale = line.length / size, support = Math.max(scale, 1);
  return Float64Array.from({ length: size }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(line.length, Math.trunc(centre + support + 0.5));
    let sum = 0, weights = 0;
    for (let x = first; x < last; x++) {
      const weight = Math.max(0, 1 - Math.abs((x - centre + 0.5) / support));
      sum += weight * line[x];
      weights += weight;
    }
    return sum / weights;
  });
}

function transposed(plane: Float64Array, width: number): Float64Array {
  const height = plane.length / width;
  return plane.map((_, i) => plane[(i % height) * width + Math.floor(i / height)]);
}

function resizeRows(plane: Float64Array, width: number, size: number): Float64Array {
  const rows = plane.length / width, result = new Float64Array(rows * size);
  for (let y = 0; y < rows; y++) {
    result.set(resizeLine(plane.subarray(y * width, (y + 1) * width), size), y * size);
  }
  return result;
}

/** A crop (top, left, height, width) resized to a square, as Pillow does it but without rounding. */
export function cropped(image: Image, crop: readonly number[], size: number): Image {
  const [, , height, width] = crop;
  const resize = (plane: Float64Array) => {
    const wide = resizeRows(cut(plane, image.width, crop), width, size);
    return transposed(resizeRows(transposed(wide, size), height, size), size);
  };
  const [red, green, blue] = image.planes;
  return { height: size, width: size, planes: [resize(red), resize(green), resize(blue)] };
}
