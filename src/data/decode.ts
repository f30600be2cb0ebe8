/**
 * From an image file's bytes to the parts of it that are needed, scaled.
 *
 * @module
 */

import type { Crop } from "../augment/crop.ts";
import { drawGeometry, type DrawKey } from "../augment/parameters.ts";
import { messageOf } from "../errors.ts";
import { fromTypedArray } from "../torch/create.ts";
import { call } from "../torch/operator.ts";
import { scope } from "../torch/scope.ts";
import { type DecodedRegion, TurboJpeg } from "./turbojpeg.ts";

/** A part of an image that is scaled, antialiased as in Pillow, and of which the square in the middle is taken. */
export interface Cut extends Crop {
  /** The height and width that it is scaled to. */
  readonly scaled: readonly [height: number, width: number];
  /** Whether the image may not be reduced while it is decoded, which changes pixels by a level or two. */
  readonly exact: boolean;
  /** Whether the result is flipped left-right. */
  readonly flipped: boolean;
}

/** What is cut out of images: the views of a training step, or the middle of them as they are tested on. */
export type Cutting =
  | { readonly kind: "views"; readonly key: DrawKey; readonly views: 1 | 2 }
  | { readonly kind: "middle" };

/** Pixels that an image may have when it is decoded, as in Pillow: a quarter of a gigabyte. */
const MAX_PIXELS = Math.floor(2 ** 30 / 4 / 3);
/** The shorter side that an image is scaled to for a middle of 224 pixels. */
const SHORTER_AT_224 = 256;
/** Of an image that is longer than so many times its width, or the other way round, the ends are not looked at. */
const LONGEST = 8;

/** What is cut out of the image at a place in the batch. */
export function cutsOf(cutting: Cutting, place: number, height: number, width: number, size: number): Cut[] {
  if (cutting.kind === "middle") return [middleCut(height, width, size)];
  const views = cutting.views === 2 ? [0, 1] as const : [0] as const;
  return views.map((view) => ({
    ...drawGeometry(cutting.key, place, view, height, width),
    scaled: [size, size],
    exact: false,
  }));
}

function middleCut(height: number, width: number, size: number): Cut {
  const most = LONGEST * Math.min(height, width);
  // The same number of pixels falls away on both sides.
  const kept = (length: number) => length > most ? most + (length - most) % 2 : length;
  const crop = { height: kept(height), width: kept(width) };
  const shorter = Math.round(size * SHORTER_AT_224 / 224), unit = Math.min(crop.height, crop.width);
  const scale = (length: number) => Math.floor(shorter * length / unit);
  return {
    ...crop,
    top: (height - crop.height) / 2,
    left: (width - crop.width) / 2,
    scaled: [scale(crop.height), scale(crop.width)],
    exact: true,
    flipped: false,
  };
}

/** What to cut out of an image of that height and width. */
export type CutPlan = (height: number, width: number) => readonly Cut[];

/** Decodes images. */
export class Decoder {
  readonly #turbo: TurboJpeg | null;

  /** With a library for ordinary JPEGs or, if that is null, without. */
  constructor(turbo: TurboJpeg | null) {
    this.#turbo = turbo;
  }

  /**
   * Cuts parts out of an image.
   *
   * @param size S, height and width of the results
   * @param out a place for each result, planes of R, G and B: (3, S, S)
   * @returns height and width of the image
   * @throws {Error} that says why the file cannot be decoded
   */
  async cut(
    file: Uint8Array<ArrayBuffer>,
    plan: CutPlan,
    size: number,
    out: readonly Uint8Array<ArrayBuffer>[],
  ): Promise<readonly [height: number, width: number]> {
    if (file.length === 0) throw new Error("it is empty");
    const done = this.#cutJpeg(file, plan, size, out);
    if (done !== null) return done;
    const decoded = await decodeAny(file);
    scaleCuts(decoded, plan(decoded.height, decoded.width), size, out);
    return [decoded.height, decoded.width];
  }

  /** Does it with libjpeg-turbo, if that can. */
  #cutJpeg(
    file: Uint8Array<ArrayBuffer>,
    plan: CutPlan,
    size: number,
    out: readonly Uint8Array<ArrayBuffer>[],
  ): readonly [height: number, width: number] | null {
    using jpeg = this.#turbo?.open(file) ?? null;
    if (jpeg === null) return null;
    const { height, width } = jpeg, cuts = plan(height, width), reduction = reductionFor(cuts);
    const reduced = cuts.map((cut) => reduce(cut, reduction, height, width)), region = around(reduced);
    checkPixels(region.height * region.width);
    const decoded = jpeg.decode(region, reduction);
    if (decoded === null) return null;
    scaleCuts(decoded, reduced, size, out);
    return [height, width];
  }
}

/** By how much all parts can be reduced while they are decoded, without becoming smaller than they are needed. */
function reductionFor(cuts: readonly Cut[]): number {
  const fits = (reduction: number) =>
    cuts.every(({ height, width, scaled, exact }) =>
      !exact && height >= scaled[0] * reduction && width >= scaled[1] * reduction
    );
  return [8, 4, 2].find(fits) ?? 1;
}

/** A part in pixels of the reduced image. */
function reduce(cut: Cut, reduction: number, rows: number, columns: number): Cut {
  if (reduction === 1) return cut;
  const along = (start: number, length: number, end: number) => {
    const first = Math.round(start / reduction);
    return [first, Math.min(Math.ceil(end / reduction), Math.round((start + length) / reduction)) - first];
  };
  const [top, height] = along(cut.top, cut.height, rows), [left, width] = along(cut.left, cut.width, columns);
  return { ...cut, top, left, height, width };
}

/** The smallest region with all parts in it. */
function around(parts: readonly Crop[]): Crop {
  const top = Math.min(...parts.map((part) => part.top)), left = Math.min(...parts.map((part) => part.left));
  return {
    top,
    left,
    height: Math.max(...parts.map((part) => part.top + part.height)) - top,
    width: Math.max(...parts.map((part) => part.left + part.width)) - left,
  };
}

function checkPixels(count: number): void {
  if (count <= MAX_PIXELS) return;
  const [has, most] = [count, MAX_PIXELS].map((pixels) => Math.round(pixels / 1e6));
  throw new Error(`it has ${has} megapixels to decode, at most ${most} are`);
}

/** Decodes any file that sharp can, leaving out transparency. */
async function decodeAny(file: Uint8Array): Promise<DecodedRegion> {
  // It is a large library, and most data sets do not need it.
  const { default: sharp } = await import("sharp");
  sharp.cache(false);
  sharp.concurrency(1);
  try {
    const image = sharp(file, { failOn: "truncated", ignoreIcc: true, limitInputPixels: MAX_PIXELS });
    const { data, info } = await image.toColourspace("srgb").removeAlpha().raw()
      .toBuffer({ resolveWithObject: true });
    return { pixels: new Uint8Array(data), top: 0, left: 0, height: info.height, width: info.width };
  } catch (error) {
    throw new Error(messageOf(error).split("\n", 1)[0]);
  }
}

function scaleCuts(
  { pixels, top, left, height, width }: DecodedRegion,
  cuts: readonly Cut[],
  size: number,
  out: readonly Uint8Array<ArrayBuffer>[],
): void {
  scope(() => {
    const image = fromTypedArray(pixels, [1, height, width, 3]).permute(0, 3, 1, 2);
    cuts.forEach((cut, i) => {
      const part = image.slice(2, cut.top - top, cut.top - top + cut.height)
        .slice(3, cut.left - left, cut.left - left + cut.width);
      const scaled = call("aten::_upsample_bilinear2d_aa", part, cut.scaled, false, undefined, undefined);
      const [y, x] = cut.scaled.map((length) => halfToEven(length - size));
      const square = scaled.slice(2, y, y + size).slice(3, x, x + size);
      (cut.flipped ? square.flip(3) : square).copyTo(out[i]);
    });
  });
}

/** Half of a whole number, rounded to the even one where it lies between two, as torchvision's `CenterCrop` does. */
function halfToEven(number: number): number {
  const half = number >> 1;
  return number & 1 ? half + (half & 1) : half;
}
