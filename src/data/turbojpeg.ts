/**
 * libjpeg-turbo, called directly: for an ordinary JPEG it takes a third of the time that a general image library does,
 * and gives the same pixels as Pillow to the bit.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { Crop } from "../augment/crop.ts";
import { cmykToRgb } from "./cmyk.ts";

/** The package whose prebuilt library is used; none of its code runs. */
const PACKAGE = "@julusian/jpeg-turbo/package.json";

/** The functions of `turbojpeg.h` that are used. */
const SYMBOLS = {
  tj3Init: { parameters: ["i32" /* initType */], result: "pointer" },
  tj3Destroy: { parameters: ["pointer"], result: "void" },
  tj3Set: { parameters: ["pointer", "i32", /* param */ "i32" /* value */], result: "i32" },
  tj3Get: { parameters: ["pointer", "i32" /* param */], result: "i32" },
  tj3GetErrorStr: { parameters: ["pointer"], result: "pointer" },
  tj3DecompressHeader: {
    parameters: ["pointer", "buffer", /* jpegBuf */ "usize" /* jpegSize */],
    result: "i32",
  },
  tj3SetScalingFactor: {
    parameters: ["pointer", { struct: ["i32", /* num */ "i32" /* denom */] }],
    result: "i32",
  },
  tj3SetCroppingRegion: {
    parameters: ["pointer", { struct: ["i32", /* x */ "i32", /* y */ "i32", /* w */ "i32" /* h */] }],
    result: "i32",
  },
  tj3Decompress8: {
    parameters: [
      "pointer",
      "buffer", /* jpegBuf */
      "usize", /* jpegSize */
      "buffer", /* dstBuf */
      "i32", /* pitch */
      "i32", /* pixelFormat */
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

const DECOMPRESS = 1;
const Parameter = {
  width: 5,
  height: 6,
  precision: 7,
  colorspace: 8,
  progressive: 12,
  scanLimit: 13,
  maxMemory: 23,
} as const;
const PixelFormat = { rgb: 0, cmyk: 11 } as const;
/** RGB, YCbCr, gray, CMYK and YCCK. */
const COLORSPACES: readonly number[] = [0, 1, 2, 3, 4];
/** The two of these that are decoded to CMYK. */
const CMYK_COLORSPACES: readonly number[] = [3, 4];
/** Megabytes beside the pixels: those that progressive JPEGs need for their coefficients, and a few rows of others. */
const MEMORY_LIMIT = { progressive: 512, sequential: 64 } as const;
/** Scans of a progressive JPEG. Usual files have about ten, and each takes time, however short it is. */
const SCAN_LIMIT = 100;
/** No sampling makes larger blocks: a region begins at a multiple of this. */
const BLOCK = 32;
/** Pixels that a region is larger on each side, for chroma is interpolated across its edge otherwise. */
const MARGIN = 2;
/** Images up to so many bytes share one buffer. */
export const KEPT_BYTES = 1 << 24;

/** Pixels of a part of an image, which may be of reduced size. */
export interface DecodedRegion extends Crop {
  /** RGB, (height, width, 3). They last until the next image is decoded. */
  readonly pixels: Uint8Array<ArrayBuffer>;
}

/** The library's functions. */
export type TurboJpegSymbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** The library. */
export class TurboJpeg {
  readonly #symbols: TurboJpegSymbols;
  #kept = new Uint8Array();

  /**
   * Loads it.
   *
   * @throws {Error} where there is none for this system, or it cannot be loaded
   */
  constructor() {
    this.#symbols = Deno.dlopen(libraryPath(), SYMBOLS).symbols;
  }

  /** Reads the header of a JPEG. Returns null where the file is something else, or an uncommon JPEG. */
  open(file: Uint8Array<ArrayBuffer>): OpenJpeg | null {
    const symbols = this.#symbols, handle = symbols.tj3Init(DECOMPRESS);
    const get = (parameter: number) => symbols.tj3Get(handle, parameter);
    const ordinary = symbols.tj3DecompressHeader(handle, file, BigInt(file.length)) === 0 &&
      get(Parameter.precision) === 8 && COLORSPACES.includes(get(Parameter.colorspace));
    // A file of tables alone has no size.
    if (ordinary && get(Parameter.height) > 0) {
      return new OpenJpeg(symbols, handle, file, (bytes) => this.#buffer(bytes));
    }
    symbols.tj3Destroy(handle);
    return null;
  }

  #buffer(bytes: number): Uint8Array<ArrayBuffer> {
    if (bytes > KEPT_BYTES) return new Uint8Array(bytes);
    if (bytes > this.#kept.length) this.#kept = new Uint8Array(bytes);
    return this.#kept.subarray(0, bytes);
  }
}

/** The library; null where it cannot be loaded, which makes decoding slower. */
export function openTurboJpeg(): TurboJpeg | null {
  try {
    return new TurboJpeg();
  } catch {
    return null;
  }
}

/** A JPEG whose header was read. Each has a handle of its own, for one that has failed remembers what it was at. */
export class OpenJpeg implements Disposable {
  /** Its rows. */
  readonly height: number;
  /** Its columns. */
  readonly width: number;
  /** Whether the whole image lies in memory while a part of it is decoded. */
  readonly isProgressive: boolean;
  readonly #isCmyk: boolean;
  readonly #symbols: TurboJpegSymbols;
  readonly #handle: Deno.PointerValue;
  readonly #file: Uint8Array<ArrayBuffer>;
  readonly #buffer: (bytes: number) => Uint8Array<ArrayBuffer>;

  /** Takes a handle that has read the file's header, and what gives room for pixels. `TurboJpeg.open` calls it. */
  constructor(
    symbols: TurboJpegSymbols,
    handle: Deno.PointerValue,
    file: Uint8Array<ArrayBuffer>,
    buffer: (bytes: number) => Uint8Array<ArrayBuffer>,
  ) {
    this.height = symbols.tj3Get(handle, Parameter.height);
    this.width = symbols.tj3Get(handle, Parameter.width);
    this.isProgressive = symbols.tj3Get(handle, Parameter.progressive) === 1;
    this.#isCmyk = CMYK_COLORSPACES.includes(symbols.tj3Get(handle, Parameter.colorspace));
    this.#symbols = symbols;
    this.#handle = handle;
    this.#file = file;
    this.#buffer = buffer;
  }

  /**
   * Decodes a part.
   *
   * @param region what is needed, in pixels of the reduced image
   * @param reduction 1, 2, 4 or 8: both sides are divided by it, rounded up
   * @returns at least the region; null where the file is damaged
   * @throws {Error} where it has too many scans
   */
  decode(region: Crop, reduction: number): DecodedRegion | null {
    const [rows, columns] = [this.height, this.width].map((length) => Math.ceil(length / reduction));
    const block = BLOCK / reduction, top = Math.max(0, region.top - MARGIN);
    const left = Math.max(0, Math.floor((region.left - MARGIN) / block) * block);
    const height = Math.min(rows, region.top + region.height + MARGIN) - top;
    const width = Math.min(columns, region.left + region.width + MARGIN) - left;
    const pixels = this.#buffer((this.#isCmyk ? 4 : 3) * height * width);
    if (!this.#decompress({ top, left, height, width }, reduction, pixels)) {
      this.#refuseScans();
      return null;
    }
    return { top, left, height, width, pixels: this.#isCmyk ? cmykToRgb(pixels, true) : pixels };
  }

  #decompress(
    { top, left, height, width }: Crop,
    reduction: number,
    pixels: Uint8Array<ArrayBuffer>,
  ): boolean {
    const symbols = this.#symbols, handle = this.#handle, file = this.#file;
    const { progressive, sequential } = MEMORY_LIMIT, { rgb, cmyk } = PixelFormat;
    symbols.tj3Set(handle, Parameter.maxMemory, this.isProgressive ? progressive : sequential);
    symbols.tj3Set(handle, Parameter.scanLimit, SCAN_LIMIT);
    const format = this.#isCmyk ? cmyk : rgb;
    return symbols.tj3SetScalingFactor(handle, words(1, reduction)) === 0 &&
      symbols.tj3SetCroppingRegion(handle, words(left, top, width, height)) === 0 &&
      symbols.tj3Decompress8(handle, file, BigInt(file.length), pixels, 0, format) === 0;
  }

  /** Keeps files with too many scans from a decoder without a limit. */
  #refuseScans(): void {
    const message = this.#symbols.tj3GetErrorStr(this.#handle);
    if (message === null || !Deno.UnsafePointerView.getCString(message).endsWith(" scans")) return;
    throw new Error(`it has more than ${SCAN_LIMIT} scans`);
  }

  [Symbol.dispose](): void {
    this.#symbols.tj3Destroy(this.#handle);
  }
}

/** A structure of 32-bit integers, as its bytes. */
function words(...values: readonly number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Int32Array.from(values).buffer);
}

function libraryPath(): string {
  const { os, arch } = Deno.build;
  if (os !== "linux") throw new Error(`there is no libturbojpeg for ${os}`);
  const folder = `prebuilds/jpeg-turbo-linux-${arch === "x86_64" ? "x64" : "arm64"}`;
  return fileURLToPath(new URL(`${folder}/libturbojpeg.so.0`, import.meta.resolve(PACKAGE)));
}
