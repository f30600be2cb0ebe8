/**
 * The formats that image files may have. A file's first bytes tell, not its name.
 *
 * @module
 */

/** A format that is decoded. */
export type ImageFormat = "JPEG" | "PNG" | "WebP" | "TIFF" | "GIF";

/** The formats, as sentences list them. */
export const IMAGE_FORMATS = "JPEG, PNG, WebP, TIFF or GIF";

/** The bytes that a file of each format begins with; `null` stands for any byte. TIFF has two orders and two sizes. */
const SIGNATURES: readonly (readonly [ImageFormat, readonly (number | null)[]])[] = [
  ["JPEG", [0xff, 0xd8, 0xff]],
  ["PNG", ascii("\x89PNG\r\n\x1a\n")],
  ["WebP", [...ascii("RIFF"), null, null, null, null, ...ascii("WEBP")]],
  ["TIFF", ascii("II*\0")],
  ["TIFF", ascii("MM\0*")],
  ["TIFF", ascii("II+\0")],
  ["TIFF", ascii("MM\0+")],
  ["GIF", ascii("GIF8")],
];

/** The format of a file with these bytes; null if it has none that is decoded. */
export function formatOf(file: Uint8Array): ImageFormat | null {
  const found = SIGNATURES.find(([, bytes]) => bytes.every((byte, i) => byte === null || byte === file[i]));
  return found?.[0] ?? null;
}

function ascii(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0));
}
