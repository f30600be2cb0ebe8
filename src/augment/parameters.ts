/**
 * What is done to each view, drawn on the CPU before any pixel is touched.
 *
 * @module
 */

import { Random } from "../base/random.ts";
import { type Crop, drawCrop } from "./crop.ts";

/** How views are made. */
export interface ViewSettings {
  /** Height and width of a view, in pixels. */
  readonly size: number;
  /** s: brightness, contrast and saturation change by up to 0.8 s, hue by up to 0.2 s turns. */
  readonly jitterStrength: number;
  /** Probability of the colour changes; negative: never. */
  readonly pColorJitter: number;
  /** Probability of greyscale; negative: never. */
  readonly pGrayscale: number;
  /** Whether half of the views are blurred. */
  readonly useGaussianBlur: boolean;
  /** Whether a fifth of the views is solarised. */
  readonly useSolarization: boolean;
}

/** What a draw depends on, and nothing else does. */
export interface DrawKey {
  /** The run's seed, a safe integer. */
  readonly seed: number;
  /** The epoch, from 0. */
  readonly epoch: number;
  /** The step, from 0. */
  readonly step: number;
  /** The place of the first image at hand in the step's whole batch: how many processes share that does not matter. */
  readonly first: number;
}

/** The colour changes, by their number in `ViewParameters.order`. */
export const COLOR_STEPS = ["brightness", "contrast", "saturation", "hue"] as const;
/** The number of the hue's change. */
export const HUE = 3;

/** What is done to the two views of each of N images: views 0 to N - 1 are views a, N to 2N - 1 views b. */
export interface ViewParameters {
  /** Height and width of each image: (N, 2). */
  readonly sizes: Int32Array<ArrayBuffer>;
  /** Top, left, height and width of each view's crop, in pixels of its image: (2N, 4). */
  readonly crops: Int32Array<ArrayBuffer>;
  /** 1 where a view is flipped left-right: (2N). */
  readonly flipped: Uint8Array<ArrayBuffer>;
  /** 1 where a view's colours change: (2N). */
  readonly jittered: Uint8Array<ArrayBuffer>;
  /** The order in which they change, as numbers of `COLOR_STEPS`: (2N, 4). */
  readonly order: Uint8Array<ArrayBuffer>;
  /** Factors of brightness, contrast and saturation, and the turn of the hue: (2N, 4). */
  readonly factors: Float32Array<ArrayBuffer>;
  /** 1 where a view becomes grey: (2N). */
  readonly gray: Uint8Array<ArrayBuffer>;
  /** The standard deviation of each view's blur in pixels, 0 for none: (2N); null where no view is blurred. */
  readonly sigma: Float32Array<ArrayBuffer> | null;
  /** 1 where a view is solarised: (2N); null where none is. */
  readonly solarized: Uint8Array<ArrayBuffer> | null;
}

const P_FLIP = 0.5, P_BLUR = 0.5, P_SOLARIZE = 0.2;
/** Bounds of the blur's standard deviation for views of 224 pixels. */
const SIGMA_AT_224 = [0.1, 2] as const;
/** A step draws at most so many views: a stream's number has 32 bits, and 0 belongs to other purposes. */
const MOST_VIEWS = 0xffffffff;

/** The sizes of images that all have the same. */
export function equalSizes(count: number, height: number, width: number): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: 2 * count }, (_, i) => i % 2 === 0 ? height : width);
}

/** The random numbers of one view, of which the crop takes the first. */
function viewRandom(key: DrawKey, image: number, view: 0 | 1): Random {
  return new Random(key.seed, key.epoch, key.step, 2 * (key.first + image) + view + 1);
}

/**
 * The crop and flip alone of one view, for whoever decodes that image: `drawViews` draws the same.
 *
 * @param image its number among the images at hand
 */
export function drawGeometry(
  key: DrawKey,
  image: number,
  view: 0 | 1,
  height: number,
  width: number,
): Crop & { readonly flipped: boolean } {
  const random = viewRandom(key, image, view);
  return { ...drawCrop(random, height, width), flipped: random.uniform() < P_FLIP };
}

/**
 * Draws what is done to two views of each image. A view's draws depend on the key, the image's place in the whole batch
 * and the image's size alone.
 *
 * @param sizes height and width of each image at hand, (N, 2)
 */
export function drawViews(
  settings: ViewSettings,
  sizes: Int32Array<ArrayBuffer>,
  key: DrawKey,
): ViewParameters {
  const images = sizes.length / 2, views = 2 * images;
  if (2 * key.first + views > MOST_VIEWS) {
    throw new RangeError(
      `Cannot draw views: a batch has at most ${(MOST_VIEWS - 1) / 2} images, got ${key.first + images}`,
    );
  }
  const parameters: ViewParameters = {
    sizes,
    crops: new Int32Array(4 * views),
    flipped: new Uint8Array(views),
    jittered: new Uint8Array(views),
    order: new Uint8Array(4 * views),
    factors: new Float32Array(4 * views),
    gray: new Uint8Array(views),
    sigma: settings.useGaussianBlur ? new Float32Array(views) : null,
    solarized: settings.useSolarization ? new Uint8Array(views) : null,
  };
  for (let i = 0; i < views; i++) {
    const image = i % images, random = viewRandom(key, image, i < images ? 0 : 1);
    drawView(parameters, i, settings, random, sizes[2 * image], sizes[2 * image + 1]);
  }
  return parameters;
}

/** What is done to views a alone: the first half of each list but `sizes`. */
export function firstViews(parameters: ViewParameters): ViewParameters {
  const { sizes, crops, flipped, jittered, order, factors, gray, sigma, solarized } = parameters;
  const views = sizes.length / 2;
  return {
    sizes,
    crops: crops.slice(0, 4 * views),
    flipped: flipped.slice(0, views),
    jittered: jittered.slice(0, views),
    order: order.slice(0, 4 * views),
    factors: factors.slice(0, 4 * views),
    gray: gray.slice(0, views),
    sigma: sigma && sigma.slice(0, views),
    solarized: solarized && solarized.slice(0, views),
  };
}

/** Draws everything, needed or not, so that switching one change off leaves the others as they are. */
function drawView(
  into: ViewParameters,
  i: number,
  settings: ViewSettings,
  random: Random,
  height: number,
  width: number,
): void {
  const { size, jitterStrength, pColorJitter, pGrayscale } = settings;
  const crop = drawCrop(random, height, width);
  into.crops[4 * i] = crop.top;
  into.crops[4 * i + 1] = crop.left;
  into.crops[4 * i + 2] = crop.height;
  into.crops[4 * i + 3] = crop.width;
  into.flipped[i] = random.uniform() < P_FLIP ? 1 : 0;
  into.jittered[i] = random.uniform() < pColorJitter ? 1 : 0;
  const order = into.order.subarray(4 * i, 4 * i + 4);
  for (let step = 0; step < 4; step++) order[step] = step;
  random.shuffle(order);
  const spread = 0.8 * jitterStrength;
  for (let step = 0; step < HUE; step++) {
    into.factors[4 * i + step] = random.uniform(Math.max(0, 1 - spread), 1 + spread);
  }
  into.factors[4 * i + HUE] = random.uniform(-0.2 * jitterStrength, 0.2 * jitterStrength);
  into.gray[i] = random.uniform() < pGrayscale ? 1 : 0;
  const blurred = random.uniform() < P_BLUR, scale = size / 224;
  const sigma = random.uniform(SIGMA_AT_224[0] * scale, SIGMA_AT_224[1] * scale);
  if (into.sigma !== null) into.sigma[i] = blurred ? sigma : 0;
  if (into.solarized !== null) into.solarized[i] = random.uniform() < P_SOLARIZE ? 1 : 0;
}
