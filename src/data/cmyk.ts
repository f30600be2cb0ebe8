/**
 * Colors of printers.
 *
 * @module
 */

/**
 * Converts pixels in place, by Pillow's formula: R = (255 - K) - C (255 - K) / 255, rounded, and so on.
 *
 * @param pixels C, M, Y and K of each pixel
 * @param inverted whether 255 stands for no ink, as in JPEG files
 * @returns R, G and B of each pixel, in the first three quarters of the same memory
 */
export function cmykToRgb(pixels: Uint8Array<ArrayBuffer>, inverted: boolean): Uint8Array<ArrayBuffer> {
  const flip = inverted ? 255 : 0, count = pixels.length / 4;
  for (let i = 0; i < count; i++) {
    const light = 255 - (pixels[4 * i + 3] ^ flip);
    for (let channel = 0; channel < 3; channel++) {
      const product = (pixels[4 * i + channel] ^ flip) * light + 128;
      pixels[3 * i + channel] = light - ((product >> 8) + product >> 8);
    }
  }
  return pixels.subarray(0, 3 * count);
}
