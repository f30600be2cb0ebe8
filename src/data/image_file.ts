/**
 * Reading image files.
 *
 * @module
 */

/** Bytes that a file may have: as many as the largest image has with 16 bits a channel. */
export const MAX_BYTES = 2 ** 29;

/** How many bytes a file has. Throws where they are more than {@linkcode MAX_BYTES}. */
export function checkBytes(path: string): number {
  const { size } = Deno.statSync(path);
  if (size <= MAX_BYTES) return size;
  const [has, most] = [size, MAX_BYTES].map((bytes) => Math.round(bytes / 1e6));
  throw new Error(`it has ${has} megabytes, the limit is ${most}`);
}
