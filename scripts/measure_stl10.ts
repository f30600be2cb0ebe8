// deno-lint-ignore-file no-console -- a script that prints its results
/**
 * How long STL-10's 100,000 unlabelled images take to open, and how much memory: makes files of the official size, opens
 * them as training does in several processes, one after the other, and prints the seconds, those of the processors and the most memory that each
 * held above what it had before.
 *
 *     deno run -A scripts/measure_stl10.ts [--images 100000] [--rounds 5]
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { viewRecipes } from "../src/augment/recipe.ts";
import { writeFully } from "../src/files/atomic.ts";
import { resolveTrain } from "../src/config/resolve.ts";
import { openSource } from "../src/data/open.ts";
import { Random } from "../src/base/random.ts";
import { scope } from "../src/torch/scope.ts";

const { values } = parseArgs({
  options: {
    folder: { type: "string" },
    images: { type: "string", default: "100000" },
    rounds: { type: "string", default: "5" },
  },
});
const IMAGE_BYTES = 3 * 96 * 96, LABELLED = 5000;

/** Random images: 1,000 different ones, over and over. */
function writeImages(path: string, count: number): void {
  const random = new Random(0), block = new Uint32Array(1000 * IMAGE_BYTES / 4).map(() => random.uint32());
  using file = Deno.openSync(path, { write: true, create: true });
  for (let left = count; left > 0; left -= 1000) {
    writeFully(file, new Uint8Array(block.buffer, 0, Math.min(left, 1000) * IMAGE_BYTES));
  }
}

/** The most memory that this process has held, in bytes. */
function peak(): number {
  return 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(Deno.readTextFileSync("/proc/self/status"))![1]);
}

/** Opens the files once, in a process of its own. */
async function open(folder: string): Promise<void> {
  const settings = resolveTrain({
    dataset: "stl10",
    data_dir: folder,
    gpus: 0,
    use_gaussian_blur: 1,
    use_solarization: 1,
  });
  const before = peak(), start = performance.now(), cpu = process.cpuUsage();
  await using source = await openSource(settings, {
    views: viewRecipes(settings),
    ...{ batchSize: 8, seed: 0, device: "cpu", rank: 0, processes: 1 },
  });
  const seconds = (performance.now() - start) / 1000, { user, system } = process.cpuUsage(cpu);
  const prepared = await source.prepare({ epoch: 0, step: 0 });
  scope(() => void prepared.toBatch());
  const share = (peak() - before) / (Deno.statSync(`${folder}/unlabeled_X.bin`).size);
  const busy = `${((user + system) / 1e6).toFixed(2)} s of the processors`;
  console.log(
    `opened in ${seconds.toFixed(2)} s (${busy}), at most ${
      share.toFixed(2)
    } times the size of the file in memory`,
  );
}

async function main(): Promise<void> {
  if (values.folder !== undefined) return await open(values.folder);
  const folder = await Deno.makeTempDir({ prefix: "stec-stl10-" });
  try {
    writeImages(`${folder}/unlabeled_X.bin`, Number(values.images));
    for (const split of ["train", "test"]) {
      writeImages(`${folder}/${split}_X.bin`, LABELLED);
      Deno.writeFileSync(`${folder}/${split}_y.bin`, new Uint8Array(LABELLED).fill(1));
    }
    for (let round = 0; round < Number(values.rounds); round++) {
      await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", import.meta.filename!, "--folder", folder],
        stdout: "inherit",
        stderr: "inherit",
      }).spawn().status;
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

await main();
