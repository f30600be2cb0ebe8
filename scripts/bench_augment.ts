/**
 * Measures how many augmented views one core makes in a second, for CIFAR's images (crop, flip, colors, grayscale).
 *
 *     deno run -A scripts/bench_augment.ts [images a batch] [size] [blur]
 *
 * Time is that of the processor, so that other programs on the machine disturb little; the clock's is printed as well.
 */

import process from "node:process";

import { drawViews, equalSizes } from "../src/augment/parameters.ts";
import { viewRecipes } from "../src/augment/recipe.ts";
import { makeViews } from "../src/augment/views.ts";
import { Random } from "../src/base/random.ts";
import { fromTypedArray } from "../src/torch/create.ts";
import { setThreads } from "../src/torch/device.ts";
import { scope } from "../src/torch/scope.ts";

const ROUNDS = 15;
const count = Number(Deno.args[0] ?? 512), size = Number(Deno.args[1] ?? 32), blur = Deno.args[2] === "blur";
const recipes = viewRecipes({
  image_size: size,
  jitter_strength: size === 32 ? 0.5 : 1,
  p_color_jitter: 0.8,
  p_grayscale: 0.2,
  gaussian_blur_prob: blur ? 0.5 : 0,
  solarization_prob: blur ? 0.2 : 0,
});

setThreads(1);
const random = new Random(0);
const pixels = Uint8Array.from({ length: count * 3 * size * size }, () => random.below(256));
using images = fromTypedArray(pixels, [count, 3, size, size]);
const sizes = equalSizes(count, size, size);

const busy: number[] = [], waited: number[] = [];
for (let step = 0; step < ROUNDS; step++) {
  const usage = process.cpuUsage(), start = performance.now();
  const parameters = drawViews(recipes, sizes, { seed: 0, epoch: 0, step, first: 0 });
  scope(() => void makeViews(images, parameters, size));
  waited.push(performance.now() - start);
  const { user, system } = process.cpuUsage(usage);
  busy.push((user + system) / 1000);
}

/** Views a second at the median of the times, in milliseconds. */
function rate(times: number[]): string {
  const median = times.sort((a, b) => a - b)[times.length >> 1];
  return Math.round(2 * count / median * 1000).toLocaleString("en");
}

const report =
  `${rate(busy)} views/s of one core's time (${rate(waited)} by the clock), ${2 * count} views of ` +
  `${size} x ${size} a batch, median of ${ROUNDS} batches\n`;
Deno.stdout.writeSync(new TextEncoder().encode(report));
