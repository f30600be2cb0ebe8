/**
 * Points in groups, as features of images in classes.
 *
 * @module
 */

import type { LabelledFeatures } from "../../src/evaluation/features.ts";
import { Random } from "../../src/base/random.ts";
import { fromTypedArray } from "../../src/torch/create.ts";

/** Points, `features` wide, around one middle for each class, and how far they lie from it, about. */
export interface PointOptions {
  readonly count: number;
  readonly classes: number;
  readonly features: number;
  readonly spread: number;
  readonly seed: number;
}

/** A number from a bell-shaped distribution of standard deviation 1: the sum of twelve uniform ones. */
function bell(random: Random): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += random.uniform();
  return sum;
}

/** Such points; the middles do not depend on the seed. They belong to the open scope. */
export function points({ count, classes, features, spread, seed }: PointOptions): LabelledFeatures {
  const fixed = new Random(7), random = new Random(seed);
  const middles = Array.from({ length: classes * features }, () => bell(fixed));
  const labels = BigInt64Array.from({ length: count }, (_, i) => BigInt(i % classes));
  const values = Float32Array.from({ length: count * features }, (_, i) => {
    const label = Math.floor(i / features) % classes;
    return 5 + 3 * (middles[label * features + i % features] + spread * bell(random));
  });
  return { features: fromTypedArray(values, [count, features]), labels: fromTypedArray(labels) };
}
