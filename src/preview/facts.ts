/**
 * What a preview shows, as plain values.
 *
 * @module
 */

import type { Crop } from "../augment/crop.ts";

/** Everything on the page. */
export interface PreviewFacts {
  /** The data set's name. */
  readonly dataset: string;
  /** What crops, flips and colours were drawn from. */
  readonly seed: number;
  /** Height and width of the views. */
  readonly size: number;
  /** Bins for each entry of the matrix. */
  readonly bins: number;
  /** Where predictions come from; null where there are none. */
  readonly checkpoint: { readonly path: string; readonly steps: number } | null;
  /** The images with their views. */
  readonly pairs: readonly PairFacts[];
}

/** An image and two views of it. */
export interface PairFacts {
  /** What the image is. */
  readonly name: string;
  /** Its pixels from top to bottom. */
  readonly height: number;
  /** Its pixels from left to right. */
  readonly width: number;
  /** The image as a data URI. */
  readonly picture: string;
  /** Views a and b. */
  readonly views: readonly [ViewFacts, ViewFacts];
  /** The six entries of M_ab, row by row. */
  readonly entries: readonly EntryFacts[];
}

/** One view and how it was made. */
export interface ViewFacts {
  /** The view as a data URI. */
  readonly picture: string;
  /** What was cut out of the image. */
  readonly crop: Crop;
  /** Whether it was mirrored. */
  readonly flipped: boolean;
  /** What else was done to it, in this order, in words. */
  readonly changes: readonly string[];
  /** Whether its pair does not count in the manipulation loss, because of solarization for instance. */
  readonly isExcluded: boolean;
}

/** One entry of the matrix. */
export interface EntryFacts {
  /** Its value. */
  readonly value: number;
  /** The bin that the value falls into, from 0. */
  readonly bin: number;
  /** The probability that the head gives to each bin; null without a checkpoint. */
  readonly probabilities: readonly number[] | null;
}

/** The bin that the head holds for the most probable one; null without a checkpoint. */
export function predictedBin({ probabilities }: EntryFacts): number | null {
  return probabilities && probabilities.indexOf(Math.max(...probabilities));
}
