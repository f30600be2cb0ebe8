/** The draws of the standard recipe, by name. */

import type { Crop } from "../../src/augment/crop.ts";
import type { ViewParameters } from "../../src/augment/parameters.ts";

/** The color changes, by their numbers in `order`. */
export const COLOR_CHANGES = ["brightness", "contrast", "saturation", "hue"] as const;

/** Everything that is drawn for one view. */
export interface Drawn {
  readonly crop: Crop;
  readonly isFlipped: boolean;
  readonly isJittered: boolean;
  /** The numbers of the color changes in their order. */
  readonly order: readonly number[];
  /** The factor of each color change; the turn of the hue. */
  readonly factors: readonly number[];
  readonly isGray: boolean;
  readonly isBlurred: boolean;
  readonly sigma: number;
  readonly isSolarized: boolean;
}

/** The draws of one view. */
export function drawnOf(parameters: ViewParameters, view: number): Drawn {
  const { flipped: isFlipped, ...crop } = parameters.box(view);
  const [jitter, gray, blur, solarize] = parameters.slots;
  const numbers = [...parameters.numbers(jitter, view)];
  return {
    crop,
    isFlipped,
    isJittered: parameters.group(jitter, view) > 0,
    order: numbers.slice(0, 4),
    factors: numbers.slice(4, 8),
    isGray: parameters.group(gray, view) > 0,
    isBlurred: parameters.group(blur, view) > 0,
    sigma: parameters.numbers(blur, view)[0],
    isSolarized: parameters.group(solarize, view) > 0,
  };
}

/** The draws of all views. */
export function allDrawn(parameters: ViewParameters): Drawn[] {
  return Array.from({ length: parameters.views }, (_, view) => drawnOf(parameters, view));
}
