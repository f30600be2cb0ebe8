/**
 * The recipe of SimCLR, and its options for both views of a pair.
 *
 * @module
 */

import { randomGaussianBlur } from "./blur.ts";
import { randomColorJitter } from "./color_jitter.ts";
import { randomResizedCrop } from "./crop.ts";
import { randomHorizontalFlip } from "./flip.ts";
import { randomGrayscale } from "./grayscale.ts";
import { randomSolarize } from "./solarize.ts";
import type { Recipe, Transform, ViewRecipes } from "./transform.ts";

/** The options of one view, by the names of their flags. Probabilities are shares of the views; 0 or less: none. */
export interface RecipeOptions {
  /** Height and width of a view, in pixels. */
  readonly image_size: number;
  /** Strength s of color jitter: brightness, contrast and saturation change by up to 0.8 s, hue by up to 0.2 s turns. */
  readonly jitter_strength: number;
  /** Probability of color jitter. */
  readonly p_color_jitter: number;
  /** Probability of grayscale. */
  readonly p_grayscale: number;
  /** Probability of Gaussian blur. */
  readonly gaussian_blur_prob: number;
  /** Probability of solarization. */
  readonly solarization_prob: number;
}

/** One value for both views, or one for each. */
export type PerView<T> = T | readonly [a: T, b: T];

/** The options of both views. */
export type PairOptions = { readonly [K in keyof RecipeOptions]: PerView<RecipeOptions[K]> } & {
  readonly image_size: number;
};

/** The transforms in their order: one line a transform. */
const TRANSFORMS: readonly ((options: RecipeOptions) => Transform)[] = [
  () => randomResizedCrop(),
  () => randomHorizontalFlip(),
  (options) => randomColorJitter({ probability: options.p_color_jitter, strength: options.jitter_strength }),
  (options) => randomGrayscale({ probability: options.p_grayscale }),
  (options) => randomGaussianBlur({ probability: options.gaussian_blur_prob, size: options.image_size }),
  (options) => randomSolarize({ probability: options.solarization_prob }),
];

/** The recipe of one view. */
export function recipeOf(options: RecipeOptions): Recipe {
  return TRANSFORMS.map((build) => build(options));
}

/**
 * The recipes of both views.
 *
 * @example BYOL's
 * ```ts
 * import { viewRecipes } from "@stec/stec";
 *
 * const recipes = viewRecipes({
 *   image_size: 224,
 *   jitter_strength: 0.5,
 *   p_color_jitter: 0.8,
 *   p_grayscale: 0.2,
 *   gaussian_blur_prob: [1, 0.1],
 *   solarization_prob: [0, 0.2],
 * });
 * ```
 */
export function viewRecipes(options: PairOptions): ViewRecipes {
  return { size: options.image_size, a: recipeOf(optionsOf(options, 0)), b: recipeOf(optionsOf(options, 1)) };
}

function optionsOf(options: PairOptions, view: 0 | 1): RecipeOptions {
  const entries = Object.entries(options).map(([name, value]) =>
    [name, Array.isArray(value) ? value[view] : value] as const
  );
  return Object.fromEntries(entries) as unknown as RecipeOptions;
}
