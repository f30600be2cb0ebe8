/**
 * Where a view lies in its image: the box that the geometric transforms of a recipe agree on.
 *
 * Geometric transforms are plain data, so that workers that decode image files can draw boxes as well.
 *
 * @module
 */

import type { Random } from "../base/random.ts";
import { type Crop, drawCrop, type RandomResizedCrop } from "./crop.ts";
import { drawFlip, type RandomHorizontalFlip } from "./flip.ts";
import type { PixelTransform, Recipe, Transform } from "./transform.ts";

/** A rectangle of an image, and whether the view shows it left-right reversed. */
export interface Box extends Crop {
  /** Whether the view is reversed. */
  readonly flipped: boolean;
}

/** A random change of the box. */
export type GeometricTransform = RandomResizedCrop | RandomHorizontalFlip;

/** Draws a box inside the one that came before. */
type Draw<T> = (transform: T, random: Random, box: Box) => Box;

/** How each geometric transform draws: one line a transform. */
const DRAWS: { readonly [T in GeometricTransform as T["geometric"]]: Draw<T> } = {
  crop: (transform, random, box) => ({ ...box, ...drawCrop(transform, random, box) }),
  flip: (transform, random, box) => ({ ...box, flipped: drawFlip(transform, random) !== box.flipped }),
};

/** Draws where a view lies in an image of that height and width. */
export function drawBox(
  geometry: readonly GeometricTransform[],
  random: Random,
  height: number,
  width: number,
): Box {
  let box: Box = { top: 0, left: 0, height, width, flipped: false };
  for (const transform of geometry) {
    const draw = DRAWS[transform.geometric] as Draw<GeometricTransform>;
    box = draw(transform, random, box);
  }
  return box;
}

/**
 * The two parts of a recipe.
 *
 * @throws {RangeError} if a geometric transform comes after a pixel transform
 */
export function partsOf(recipe: Recipe): {
  readonly geometry: readonly GeometricTransform[];
  readonly pixels: readonly PixelTransform[];
} {
  const geometry = recipe.filter(isGeometric);
  const late = recipe.slice(geometry.length).find(isGeometric);
  if (late !== undefined) {
    throw new RangeError(
      `Cannot use a recipe with ${late.geometric} after a pixel transform: views are resampled before`,
    );
  }
  return { geometry, pixels: recipe.slice(geometry.length) as PixelTransform[] };
}

function isGeometric(transform: Transform): transform is GeometricTransform {
  return "geometric" in transform;
}
