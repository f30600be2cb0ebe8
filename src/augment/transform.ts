/**
 * The parts of a recipe.
 *
 * A recipe is a list of transforms. Geometric transforms come first: they decide where a view lies in its image, and the
 * image is resampled once for all of them. Pixel transforms then change the view, one after the other.
 *
 * @module
 */

import type { Random } from "../base/random.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { GeometricTransform } from "./geometry.ts";

/**
 * A random change of a view's pixels.
 *
 * Parameters are drawn on the CPU, view by view, and travel to the device in one table, where each transform owns a few
 * columns. The pixels of many views are changed at once.
 *
 * @example Random gamma
 * ```ts
 * import { call, type PixelTransform } from "@stec/stec";
 *
 * export function randomGamma({ probability = 0.5 } = {}): PixelTransform {
 *   return {
 *     name: "gamma",
 *     probability,
 *     columns: 1,
 *     draw: (random, numbers) => void (numbers[0] = random.uniform(0.5, 2)),
 *     apply: (views, numbers) => call("aten::pow.Tensor_Tensor", views, numbers.reshape(-1, 1, 1, 1)),
 *   };
 * }
 * ```
 */
export interface PixelTransform {
  /** The name, for messages and previews. */
  readonly name: string;
  /** The share of views that it changes; 0 or less: none. */
  readonly probability: number;
  /** Columns of the table that it owns. */
  readonly columns: number;
  /** Whether the manipulation loss leaves out pairs with a view that it changed. */
  readonly excludesPair?: boolean;
  /**
   * Draws the parameters of one view. It is called for unchanged views as well, so that a different probability leaves
   * all other draws as they are.
   *
   * @param numbers receives the parameters, one for each column
   */
  readonly draw?: (random: Random, numbers: Float32Array) => void;
  /**
   * Puts views that take the same operations into one group, a number from 1 on. Rows of a group lie side by side in
   * memory, and `apply` gets them in place. This suits cheap operations. Without it, the changed views are copied
   * together and back, in one group.
   */
  readonly group?: (numbers: Float32Array) => number;
  /**
   * Changes the pixels of the views of one group.
   *
   * @param views pixels in [0, 1], which may be overwritten: (n, 3, S, S), float32
   * @param numbers their parameters: (n, columns), float32
   * @param group their group; 1 without {@linkcode PixelTransform.group}
   * @returns the changed views, in the same shape; `views` itself if they were overwritten
   */
  readonly apply: (views: Tensor, numbers: Tensor, group: number) => Tensor;
  /** The change of a view in words; the name if left out. */
  readonly describe?: (numbers: Float32Array) => readonly string[];
}

/** A step of a recipe. */
export type Transform = GeometricTransform | PixelTransform;

/** The steps that make a view of an image, geometric transforms first. */
export type Recipe = readonly Transform[];

/** The size of views and the recipes of both views of a pair. */
export interface ViewRecipes {
  /** Height and width of a view, in pixels. */
  readonly size: number;
  /** Makes view a. */
  readonly a: Recipe;
  /** Makes view b. */
  readonly b: Recipe;
}
