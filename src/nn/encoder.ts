/**
 * What all encoders have in common.
 *
 * @module
 */

import type { Layer } from "./module.ts";

/** A network from images (N, 3, H, W) to features (N, featureWidth). */
export interface Encoder extends Layer {
  /** The width of the features. */
  readonly featureWidth: number;
}
