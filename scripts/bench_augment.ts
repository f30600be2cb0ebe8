/**
 * Measures how many augmented views one core makes in a second, for CIFAR's images (crop, flip, colours, greyscale).
 *
 *     deno run -A scripts/bench_augment.ts [images a batch] [size] [blur]
 */

import { drawViews, equalSizes } from "../src/augment/parameters.ts";
import { makeViews } from "../src/augment/views.ts";
import { Random } from "../src/random.ts";
import { fromTypedArray } from "../src/torch/create.ts";
import { setThreads } from "../src/torch/device.ts";
import { scope } from "../src/torch/scope.ts";

const ROUNDS = 15;
const count = Number(Deno.args[0] ?? 512), size = Number(Deno.args[1] ?? 32), blur = Deno.args[2] === "blur";
const settings = {
  size,
  jitterStrength: size === 32 ? 0.5 : 1,
  pColorJitter: 0.8,
  pGrayscale: 0.2,
  useGaussianBlur: blur,
  useSolarization: blur,
};

setThreads(1);
const random = new Random(0);
const pixels = Uint8Array.from({ length: count * 3 * size * size }, () => random.below(256));
using images = fromTypedArray(pixels, [count, 3, size, size]);
const sizes = equalSizes(count, size, size);

const drawing: number[] = [], making: number[] = [];
for (let step = 0; step < ROUNDS; step++) {
  const start = performance.now();
  const parameters = drawViews(settings, sizes, { seed: 0, epoch: 0, step, rank: 0 });
  const drawn = performance.now();
  scope(() => void makeViews(images, parameters, size));
  drawing.push(drawn - start);
  making.push(performance.now() - drawn);
}

function median(times: number[]): number {
  return times.sort((a, b) => a - b)[times.length >> 1];
}

const [draw, make] = [median(drawing), median(making)], views = 2 * count;
const report =
  `${Math.round(views / (draw + make) * 1000).toLocaleString("en")} views/s on one core: ${views} views of ` +
  `${size} x ${size}, drawn in ${draw.toFixed(1)} ms, made in ${make.toFixed(1)} ms (medians of ${ROUNDS})\n`;
Deno.stdout.writeSync(new TextEncoder().encode(report));
