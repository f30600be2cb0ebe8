import type { DecodeRequest } from "../../src/data/decode_pool.ts";

/** A request for the middle of these files. */
export function madeUpRequest(paths: readonly string[]): DecodeRequest {
  const size = 16;
  return {
    paths,
    places: paths.map((_, i) => i),
    cutting: { kind: "middle" },
    size,
    pixels: new SharedArrayBuffer(paths.length * 3 * size * size),
    sizes: new SharedArrayBuffer(8 * paths.length),
  };
}
