/** Recipes to test with. */

import { type PairOptions, viewRecipes } from "../../src/augment/recipe.ts";
import type { ViewRecipes } from "../../src/augment/transform.ts";

/** Changes of color, and whatever else is asked for. */
export function testRecipes(image_size: number, more: Partial<PairOptions> = {}): ViewRecipes {
  return viewRecipes({
    image_size,
    jitter_strength: 1,
    p_color_jitter: 0.8,
    p_grayscale: 0.2,
    gaussian_blur_prob: 0,
    solarization_prob: 0,
    ...more,
  });
}

/** No change of color. */
export const COLORLESS = { p_color_jitter: -1, p_grayscale: -1 };
/** Blur and solarization with the probabilities of `--use_gaussian_blur 1 --use_solarization 1`. */
export const BLURRED = { gaussian_blur_prob: 0.5, solarization_prob: 0.2 };
