/**
 * From an image file's bytes to the parts of it that are needed, scaled.
 *
 * @module
 */

import type { Crop } from "../augment/crop.ts";
import type { GeometricTransform } from "../augment/geometry.ts";
import { drawGeometry, type DrawKey } from "../augment/parameters.ts";
import { borrowTypedArray, returnBorrowed } from "../torch/create.ts";
import { call } from "../torch/operator.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { type Budget, UNLIMITED } from "./budget.ts";
import { openGeneralImage } from "./general_image.ts";
import { formatOf, IMAGE_FORMATS } from "./image_format.ts";
import { type DecodedRegion, KEPT_BYTES, type TurboJpeg } from "./turbojpeg.ts";

/** A part of an image that is scaled, antialiased as in Pillow, and of which the square in the middle is taken. */
export interface Cut extends Crop {
  /** The height and width that it is scaled to. */
  readonly scaled: readonly [height: number, width: number];
  /** Whether the image may not be reduced while it is decoded, which changes pixels by a level or two. */
  readonly exact: boolean;
  /** Whether the result is flipped left-right. */
  readonly flipped: boolean;
}

/** The geometric transforms of view a, and of view b if there is one. */
export type ViewGeometry = readonly (readonly GeometricTransform[])[];

/** What is cut out of images: the views of a training step, or the middle of them as they are tested on. */
export type Cutting =
  | { readonly kind: "views"; readonly key: DrawKey; readonly geometry: ViewGeometry }
  | { readonly kind: "middle" };

/** Pixels that an image may have when it is decoded, as in Pillow: a quarter of a gigabyte. */
export const MAX_PIXELS = Math.floor(2 ** 30 / 4 / 3);
/** The shorter side that an image is scaled to for a middle of 224 pixels. */
const SHORTER_AT_224 = 256;
/** The maximum aspect ratio. Longer images are cropped. */
const LONGEST = 8;

/** What is cut out of the image at a place in the batch. */
export function cutsOf(cutting: Cutting, place: number, height: number, width: number, size: number): Cut[] {
  if (cutting.kind === "middle") return [middleCut(height, width, size)];
  return cutting.geometry.map((geometry, view) => ({
    ...drawGeometry(geometry, cutting.key, place, view, height, width),
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

/** What was found out about an image while it was decoded. */
export interface ImageFacts {
  /** Its rows. */
  readonly height: number;
  /** Its columns. */
  readonly width: number;
  /** Whether it is gray with 16 bits a pixel, of which the upper 8 are used. */
  readonly isGray16: boolean;
}

/** A whole image, scaled down where it was large. */
export interface WholeImage {
  /** Pixels, uint8, (3, height, width). */
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** Pixels from top to bottom. */
  readonly height: number;
  /** Pixels from left to right. */
  readonly width: number;
}

/** Decodes images. */
export class Decoder {
  readonly #turbo: TurboJpeg | null;
  readonly #pixels: Budget;

  /**
   * With a library for ordinary JPEGs or, if that is null, without.
   *
   * @param pixels the pixels that may be in memory at a time, {@linkcode MAX_PIXELS} or more
   */
  constructor(turbo: TurboJpeg | null, pixels: Budget = UNLIMITED) {
    this.#turbo = turbo;
    this.#pixels = pixels;
  }

  /**
   * Cuts parts out of an image.
   *
   * @param size S, height and width of the results
   * @param out a place for each result, planes of R, G and B: (3, S, S)
   * @throws {Error} that says why the file cannot be decoded
   */
  async cut(
    file: Uint8Array<ArrayBuffer>,
    plan: CutPlan,
    size: number,
    out: readonly Uint8Array<ArrayBuffer>[],
  ): Promise<ImageFacts> {
    return await this.#decode(file, plan, (part, { scaled, flipped }, i) => {
      const [y, x] = scaled.map((length) => halfToEven(length - size));
      const square = part.slice(2, y, y + size).slice(3, x, x + size);
      (flipped ? square.flip(3) : square).copyTo(out[i]);
    });
  }

  /**
   * Decodes a whole image, scaled down where its longer side is longer than `longest`.
   *
   * @throws {Error} that says why the file cannot be decoded
   */
  async whole(file: Uint8Array<ArrayBuffer>, longest: number): Promise<WholeImage> {
    let pixels = new Uint8Array(), height = 0, width = 0;
    await this.#decode(file, (rows, columns) => [wholeCut(rows, columns, longest)], (part, { scaled }) => {
      [height, width] = scaled;
      pixels = new Uint8Array(3 * height * width);
      part.copyTo(pixels);
    });
    return { pixels, height, width };
  }

  /** Decodes and scales parts, each (1, 3, height, width), and hands them on one after the other. */
  async #decode(file: Uint8Array<ArrayBuffer>, plan: CutPlan, use: UsePart): Promise<ImageFacts> {
    if (file.length === 0) throw new Error("it is empty");
    const format = formatOf(file);
    if (format === null) throw new Error(`it is not a ${IMAGE_FORMATS}`);
    return (format === "JPEG" ? this.#decodeJpeg(file, plan, use) : null) ??
      await this.#decodeGeneral(file, plan, use);
  }

  /** Does it with libjpeg-turbo, if that can. */
  #decodeJpeg(file: Uint8Array<ArrayBuffer>, plan: CutPlan, use: UsePart): ImageFacts | null {
    using jpeg = this.#turbo?.open(file) ?? null;
    if (jpeg === null) return null;
    const { height, width, isProgressive } = jpeg, cuts = plan(height, width), reduction = reductionFor(cuts);
    const reduced = cuts.map((cut) => reduce(cut, reduction, height, width)), region = around(reduced);
    using _held = this.#hold(isProgressive ? height * width : region.height * region.width);
    const decoded = jpeg.decode(region, reduction);
    if (decoded === null) return null;
    scaleCuts(decoded, reduced, use);
    return { height, width, isGray16: false };
  }

  async #decodeGeneral(
    file: Uint8Array<ArrayBuffer>,
    plan: CutPlan,
    use: UsePart,
  ): Promise<ImageFacts> {
    const image = await openGeneralImage(file), { height, width, isGray16 } = image;
    using _held = this.#hold(height * width);
    const cuts = plan(height, width);
    scaleCuts(await image.decode(around(cuts)), cuts, use);
    return { height, width, isGray16 };
  }

  #hold(pixels: number): Disposable {
    if (pixels <= MAX_PIXELS) return this.#pixels.take(pixels);
    const [has, most] = [pixels, MAX_PIXELS].map((count) => Math.round(count / 1e6));
    throw new Error(`it has ${has} megapixels to decode, the limit is ${most}`);
  }
}

/** Is given a part of an image, scaled, (1, 3, height, width), which lasts until it returns. */
type UsePart = (part: Tensor, cut: Cut, index: number) => void;

function wholeCut(height: number, width: number, longest: number): Cut {
  const scale = Math.min(1, longest / Math.max(height, width));
  const scaled = (length: number) => Math.max(1, Math.round(length * scale));
  return {
    ...{ top: 0, left: 0, height, width },
    scaled: [scaled(height), scaled(width)],
    exact: false,
    flipped: false,
  };
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

/** Scales parts. Large pixels are gone afterwards. */
function scaleCuts(
  { pixels, top, left, height, width }: DecodedRegion,
  cuts: readonly Cut[],
  use: UsePart,
): void {
  scope(() => {
    const image = borrowTypedArray(pixels, [1, height, width, 3]).permute(0, 3, 1, 2);
    cuts.forEach((cut, i) =>
      scope(() => {
        const part = image.slice(2, cut.top - top, cut.top - top + cut.height)
          .slice(3, cut.left - left, cut.left - left + cut.width);
        use(call("aten::_upsample_bilinear2d_aa", part, cut.scaled, false, undefined, undefined), cut, i);
      })
    );
  });
  returnBorrowed();
  // The garbage collector would come later, and there may be several by then.
  if (pixels.buffer.byteLength > KEPT_BYTES) pixels.buffer.transfer(0);
}

/** Half of a whole number, rounded to the even one where it lies between two, as torchvision's `CenterCrop` does. */
function halfToEven(number: number): number {
  const half = number >> 1;
  return number & 1 ? half + (half & 1) : half;
}
