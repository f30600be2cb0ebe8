// deno-lint-ignore-file no-console -- a script that prints its results
/**
 * How much memory an epoch of image files takes, without a model: makes a folder of JPEGs of 500 x 375 pixels, turns all of
 * them into batches of views, and prints the most memory that the process held above what it had at the start, and the share
 * of time that was spent waiting for data. With `--device_ms` each step keeps the main thread for so long, as a device does.
 *
 *     deno run -A scripts/measure_memory.ts [--images 20000] [--workers 8] [--batch 64] [--device_ms 0]
 *
 * @module
 */

import { parseArgs } from "node:util";
import sharp from "sharp";
import { viewRecipes } from "../src/augment/recipe.ts";
import { FolderBatches } from "../src/data/folder_batches.ts";
import { listImageFolder } from "../src/data/image_folder.ts";
import { Random } from "../src/base/random.ts";
import { scope } from "../src/torch/scope.ts";

const { values } = parseArgs({
  options: {
    images: { type: "string", default: "20000" },
    workers: { type: "string", default: "8" },
    batch: { type: "string", default: "64" },
    device_ms: { type: "string", default: "0" },
  },
});
const images = Number(values.images), batchSize = Number(values.batch);
/** So many files differ; the others are further names of them. */
const DIFFERENT = 200;

async function writeImages(folder: string): Promise<void> {
  for (let i = 0; i < images; i++) {
    const path = `${folder}/${i}.JPEG`;
    if (i >= DIFFERENT) {
      Deno.linkSync(`${folder}/${i % DIFFERENT}.JPEG`, path);
      continue;
    }
    const random = new Random(0, i),
      pixels = Uint8Array.from({ length: 3 * 100 * 75 }, () => random.uint32());
    const image = sharp(pixels, { raw: { width: 100, height: 75, channels: 3 } }).resize(500, 375);
    Deno.writeFileSync(path, await image.jpeg().toBuffer());
  }
}

const folder = await Deno.makeTempDir({ prefix: "stec-memory-" });
try {
  await writeImages(folder);
  const before = Deno.memoryUsage().rss;
  await using source = new FolderBatches(listImageFolder(folder), {
    views: viewRecipes({
      image_size: 224,
      jitter_strength: 1,
      p_color_jitter: -1,
      p_grayscale: -1,
      gaussian_blur_prob: 0,
      solarization_prob: 0,
    }),
    ...{ batchSize, seed: 0, device: "cpu", rank: 0, processes: 1 },
    ...{ workers: Number(values.workers), linear: false },
  });
  const steps = Math.floor(source.count / batchSize), start = performance.now();
  const clock = new Int32Array(new SharedArrayBuffer(4)), device = Number(values.device_ms);
  let most = 0, waited = 0;
  for (let step = 0; step < steps; step++) {
    const asked = performance.now(), prepared = await source.prepare({ epoch: 0, step });
    // The first batch is waited for once in a run.
    if (step > 0) waited += performance.now() - asked;
    scope(() => void prepared.toBatch());
    Atomics.wait(clock, 0, 0, device);
    most = Math.max(most, Deno.memoryUsage().rss);
    if ((step + 1) % Math.ceil(steps / 10) === 0 || step === steps - 1) {
      console.log(`${(step + 1) * batchSize} images: at most ${((most - before) / 1e6).toFixed(0)} MB`);
    }
  }
  const seconds = (performance.now() - start) / 1000;
  const share = `${(waited / seconds / 10).toFixed(1)}% of the time waiting for data`;
  console.log(`${(steps * batchSize / seconds).toFixed(0)} images/s, ${values.workers} workers, ${share}`);
} finally {
  await Deno.remove(folder, { recursive: true });
}
