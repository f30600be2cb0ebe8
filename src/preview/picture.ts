/**
 * Pictures that a page carries inside itself.
 *
 * @module
 */

/** Sides up to this are kept without loss, as PNG. */
const SMALL = 128;
/** Longer ones become JPEG, at most so large. */
const LONGEST = 512;

/** An image as a data URI, without loss where it is small. `pixels` are planes, (3, height, width). */
export async function dataUri(pixels: Uint8Array, height: number, width: number): Promise<string> {
  const { default: sharp } = await import("sharp");
  const plane = height * width, interleaved = new Uint8Array(3 * plane);
  for (let i = 0; i < plane; i++) {
    for (let channel = 0; channel < 3; channel++) interleaved[3 * i + channel] = pixels[channel * plane + i];
  }
  const image = sharp(interleaved, { raw: { width, height, channels: 3 } });
  if (Math.max(height, width) <= SMALL) {
    return `data:image/png;base64,${(await image.png().toBuffer()).toString("base64")}`;
  }
  const reduced = image.resize(LONGEST, LONGEST, { fit: "inside", withoutEnlargement: true });
  return `data:image/jpeg;base64,${(await reduced.jpeg({ quality: 85 }).toBuffer()).toString("base64")}`;
}
