/**
 * Images that libjpeg-turbo does not decode: other formats, and damaged JPEGs. libvips decodes them, by way of sharp.
 *
 * @module
 */

import type { Sharp } from "sharp";
import type { Crop } from "../augment/crop.ts";
import { messageOf } from "../base/errors.ts";
import { cmykToRgb } from "./cmyk.ts";
import type { DecodedRegion } from "./turbojpeg.ts";

/** libvips's loaders of the formats that are read. All others are switched off: an SVG can compute for hours. */
const LOADERS = ["Jpeg", "Png", "Webp", "Tiff", "Nsgif"].map((name) => `VipsForeignLoad${name}`);
/** Types of a channel's values: 8 and 16 bits. The range of others is not known. */
const DEPTHS = ["uchar", "ushort"];

/** An image whose header was read. */
export interface GeneralImage {
  /** Its rows. */
  readonly height: number;
  /** Its columns. */
  readonly width: number;
  /** Whether it is gray with 16 bits a pixel, of which the upper 8 are decoded. */
  readonly isGray16: boolean;
  /** Decodes a part, without transparency. */
  decode(region: Crop): Promise<DecodedRegion>;
}

/**
 * Reads the header of an image.
 *
 * Of 16 bits a channel the upper 8 are taken, of gray as of color. Pillow does so for color; gray it cuts at 255, which
 * makes most images white.
 *
 * @throws {Error} that says why the file cannot be decoded
 */
export async function openGeneralImage(file: Uint8Array): Promise<GeneralImage> {
  const sharp = await loadSharp();
  const image = sharp(file, { failOn: "truncated", ignoreIcc: true, limitInputPixels: false });
  const { width, height, space, depth } = await describing(() => image.metadata());
  if (!DEPTHS.includes(depth)) {
    throw new Error(`its values are of type ${depth}: only integers of 8 and 16 bits are read`);
  }
  return {
    height,
    width,
    isGray16: space === "grey16",
    decode: (region) => describing(() => decode(image, region, space === "cmyk")),
  };
}

async function decode(image: Sharp, region: Crop, isCmyk: boolean): Promise<DecodedRegion> {
  const { top, left, height, width } = region;
  const part = image.extract({ top, left, height, width });
  const converted = isCmyk
    ? part.pipelineColourspace("cmyk").toColourspace("cmyk")
    : part.toColourspace("srgb").removeAlpha();
  const { buffer, byteOffset, length } = await converted.raw().toBuffer();
  const pixels = new Uint8Array(buffer as ArrayBuffer, byteOffset, length);
  return { top, left, height, width, pixels: isCmyk ? cmykToRgb(pixels, false) : pixels };
}

let loaded: Promise<typeof import("sharp").default> | undefined;

/** Loads sharp when it is first needed: it is large, and most data sets do without. */
function loadSharp(): Promise<typeof import("sharp").default> {
  return loaded ??= import("sharp").then(({ default: sharp }) => {
    sharp.cache(false);
    sharp.concurrency(1);
    sharp.block({ operation: ["VipsForeignLoad"] });
    sharp.unblock({ operation: LOADERS });
    return sharp;
  });
}

/** Shortens messages of libvips, which may have many lines. */
async function describing<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    throw new Error(messageOf(error).split("\n", 1)[0]);
  }
}
