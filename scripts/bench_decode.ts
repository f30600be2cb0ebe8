// deno-lint-ignore-file no-console -- a script that prints its results
/**
 * How many images one core reads, decodes, crops twice to 224 pixels, flips and turns into floats in a second, beside
 * torchvision's Pillow pipeline, round about in one run. Time is that of the processor, all threads together, so that
 * other programs on the machine disturb little.
 *
 *     deno run -A scripts/bench_decode.ts <folder of class folders> [--python python3] [--rounds 10]
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { parseArgs } from "node:util";
import { partsOf } from "../src/augment/geometry.ts";
import { drawViews } from "../src/augment/parameters.ts";
import { viewRecipes } from "../src/augment/recipe.ts";
import { makeViewsOfCrops } from "../src/augment/views.ts";
import { CropLoader } from "../src/data/crop_loader.ts";
import { DecodePool } from "../src/data/decode_pool.ts";
import { listImageFolder } from "../src/data/image_folder.ts";
import { borrowTypedArray } from "../src/torch/create.ts";
import { setThreads } from "../src/torch/device.ts";
import { scope } from "../src/torch/scope.ts";
import { median } from "./median.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { python: { type: "string", default: "python3" }, rounds: { type: "string", default: "10" } },
});
const SIZE = 224,
  RECIPES = viewRecipes({
    image_size: SIZE,
    jitter_strength: 1,
    p_color_jitter: -1,
    p_grayscale: -1,
    gaussian_blur_prob: 0,
    solarization_prob: 0,
  });

setThreads(1);
const { train, validation } = listImageFolder(positionals[0]);
const files = { ...train, paths: [...train.paths, ...validation.paths] }, count = files.paths.length;
await using pool = new DecodePool(1);
const loader = new CropLoader(files, SIZE, pool, []);

/** A round over all images, in milliseconds of processor time. */
async function ownRound(step: number): Promise<number> {
  const start = process.cpuUsage(), key = { seed: 0, epoch: 0, step, first: 0 };
  const crops = await loader.load({
    picked: Uint32Array.from({ length: count }, (_, i) => i),
    epoch: 0,
    cutting: {
      kind: "views",
      key,
      geometry: [RECIPES.a, RECIPES.b].map((recipe) => partsOf(recipe).geometry),
    },
    redraw: null,
  });
  scope(() => {
    const pixels = borrowTypedArray(crops.pixels, [2 * count, 3, SIZE, SIZE]);
    makeViewsOfCrops(pixels, drawViews(RECIPES, crops.sizes, key));
  });
  crops.release();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

const child = new Deno.Command(values.python, {
  args: ["-W", "ignore", new URL("./bench_decode_peer.py", import.meta.url).pathname],
  stdin: "piped",
  stdout: "piped",
}).spawn();
const lines = createInterface({ input: Readable.fromWeb(child.stdout) })[Symbol.asyncIterator]();
const requests = child.stdin.getWriter(), encoder = new TextEncoder();
await requests.write(encoder.encode(files.paths.map((path) => `${files.root}/${path}`).join("\t") + "\n"));
console.log(`${count} images beside ${(await lines.next()).value}`);

/** The same in Python. */
async function peerRound(): Promise<number> {
  await requests.write(encoder.encode("\n"));
  return Number((await lines.next()).value);
}

const ours: number[] = [], theirs: number[] = [];
for (let round = -2; round < Number(values.rounds); round++) {
  const [mine, other] = [await ownRound(round + 2), await peerRound()];
  if (round >= 0) ours.push(mine), theirs.push(other);
}
await requests.close();
const [a, b] = [median(ours), median(theirs)].map((time) => count / time * 1000);
console.log(`${a.toFixed(0)} images/s a core here, ${b.toFixed(0)} with Pillow, ratio ${(a / b).toFixed(2)}`);
