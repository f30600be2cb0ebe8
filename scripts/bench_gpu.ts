// deno-lint-ignore-file no-console -- a script that prints its results
/**
 * Training on a GPU beside PyTorch, eager and compiled: ResNet-18 with the CIFAR stem, bfloat16, channels last, in turn
 * in one run. What is measured here includes the data path, from a data set in memory to views; PyTorch's views are made
 * before. Prints images a second (an image is two views), the peak of memory and how busy the GPU was.
 *
 *     deno run -A scripts/bench_gpu.ts [--python python3] [--batch 1024] [--steps 50] [--rounds 5] [--gpus 1]
 *
 * @module
 */

import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { parseArgs } from "node:util";
import { resolveTrain } from "../src/config/resolve.ts";
import { MemoryBatches } from "../src/data/batches.ts";
import { buildModel, buildOptimizer, objectiveOf } from "../src/run/build.ts";
import { LAYOUT, resolveDevice } from "../src/run/machine.ts";
import { type Learner, trainStep } from "../src/run/step.ts";
import { cudaMemory, describeCudaDevice, gpuNumber, resetCudaPeak, synchronize } from "../src/torch/cuda.ts";
import { describeLibrary } from "../src/torch/library.ts";

const { values } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    batch: { type: "string", default: "1024" },
    steps: { type: "string", default: "50" },
    rounds: { type: "string", default: "5" },
    gpus: { type: "string", default: "1" },
  },
});
const batch = Number(values.batch), steps = Number(values.steps), rounds = Number(values.rounds);
const device = resolveDevice(Number(values.gpus)), onGpu = gpuNumber(device) !== null;
const WARM_UP = 3;

/** Some steps: their milliseconds, and the peak of memory in bytes. */
type Measured = readonly [milliseconds: number, peak: number];
type Runner = (steps: number) => Promise<Measured>;

function own(): Runner {
  const settings = resolveTrain({
    dataset: "cifar10",
    arch: "resnet18",
    feat_dim: 64,
    manip_lambda: 1,
    temperature: 0.5,
    batch_size: batch,
  });
  const count = Math.max(50_000, batch), pixels = new Uint8Array(count * 3 * 32 * 32);
  for (let i = 0; i < pixels.length; i++) pixels[i] = Math.imul(i, 0x9e3779b1) >>> 24;
  const images = {
    name: "made-up images",
    split: "train" as const,
    images: pixels,
    labels: Int32Array.from({ length: count }, (_, i) => i % 10),
    classes: Array.from({ length: 10 }, (_, i) => `${i}`),
    count,
    height: 32,
    width: 32,
  };
  const views = {
    size: 32,
    jitterStrength: settings.jitter_strength,
    pColorJitter: settings.p_color_jitter,
    pGrayscale: settings.p_grayscale,
    useGaussianBlur: false,
    useSolarization: false,
  };
  const source = new MemoryBatches({ pairs: images, labelled: null, count }, {
    views,
    batchSize: batch,
    seed: 0,
    device,
    rank: 0,
    processes: 1,
  });
  const model = buildModel(settings, 10, 0).to({ device, memoryFormat: LAYOUT });
  const learner: Learner = {
    model,
    optimizer: buildOptimizer(settings, model.namedParameters()),
    objective: objectiveOf(settings),
    device,
    precision: "bfloat16",
  };
  const perEpoch = Math.floor(count / batch);
  let done = 0;
  return async (steps) => {
    synchronize(device);
    if (onGpu) resetCudaPeak(device);
    const start = performance.now();
    for (let i = 0; i < steps; i++, done++) {
      const prepared = await source.prepare({ epoch: Math.floor(done / perEpoch), step: done % perEpoch });
      trainStep(learner, prepared, 0.1).values[Symbol.dispose]();
    }
    synchronize(device);
    return [performance.now() - start, onGpu ? cudaMemory(device).peakAllocated : 0];
  };
}

async function peer(mode: "eager" | "compile"): Promise<{ run: Runner; end: () => void }> {
  const script = new URL("./bench_gpu_peer.py", import.meta.url).pathname;
  const child = new Deno.Command(values.python, {
    args: ["-W", "ignore", script, values.batch, mode, device],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = createInterface({ input: Readable.fromWeb(child.stdout) })[Symbol.asyncIterator]();
  const requests = child.stdin.getWriter();
  const ready: string = (await lines.next()).value ?? "";
  if (!ready.startsWith("ready")) throw new Error(`Cannot start the PyTorch peer with ${values.python}`);
  return {
    async run(steps) {
      await requests.write(new TextEncoder().encode(`${steps}\n`));
      const answer: string = (await lines.next()).value ?? "";
      const [milliseconds, peak] = answer.split(" ").map(Number);
      if (!Number.isFinite(milliseconds)) {
        throw new Error(`PyTorch (${mode}) has failed: see its words above`);
      }
      return [milliseconds, peak];
    },
    end: () => void requests.close(),
  };
}

/** The share of the time that the GPU was busy while `body` ran, in percent, by nvidia-smi; NaN where it cannot tell. */
async function busyDuring<T>(body: () => Promise<T>): Promise<[T, number]> {
  if (!onGpu) return [await body(), NaN];
  const args = ["-i", `${gpuNumber(device)}`, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"];
  const watcher = new Deno.Command("nvidia-smi", { args: [...args, "-lms", "200"], stdout: "piped" }).spawn();
  const result = await body();
  watcher.kill("SIGTERM");
  const text = new TextDecoder().decode((await watcher.output()).stdout);
  // The first and the last look reach beyond what was measured.
  const shares = text.trim().split("\n").map(Number).filter(Number.isFinite).slice(2, -1);
  return [result, shares.reduce((sum, share) => sum + share, 0) / shares.length];
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}

const eager = await peer("eager"), compiled = await peer("compile");
const runners: Record<string, Runner> = {
  "S-TEC, data path included": own(),
  "PyTorch, eager": eager.run,
  "PyTorch, torch.compile": compiled.run,
};
const found = Object.keys(runners).map((name) => ({
  name,
  times: [] as number[],
  peak: 0,
  busy: [] as number[],
}));
for (const { name } of found) await runners[name](WARM_UP);
for (let round = 0; round < rounds; round++) {
  for (const entry of found) {
    const [[milliseconds, peak], busy] = await busyDuring(() => runners[entry.name](steps));
    entry.times.push(milliseconds / steps);
    entry.busy.push(busy);
    entry.peak = Math.max(entry.peak, peak);
  }
}
eager.end();
compiled.end();

const name = onGpu ? describeCudaDevice(device).name : "the CPU";
console.log(
  `ResNet-18, CIFAR stem, batch ${batch}, bfloat16 on ${name}, libtorch ${describeLibrary().version}: ` +
    `medians of ${rounds} rounds of ${steps} steps in turn`,
);
console.log(`${"".padEnd(28)}images/s   ms/step   peak GiB   busy %`);
for (const { name, times, peak, busy } of found) {
  const time = median(times);
  const cells = [(batch / time * 1000).toFixed(0), time.toFixed(2), (peak / 2 ** 30).toFixed(2)];
  console.log(
    name.padEnd(28) + [...cells, median(busy).toFixed(0)].map((cell) => cell.padStart(8)).join("  "),
  );
}
const [ours, ...theirs] = found.map(({ times }) => 1 / median(times));
console.log(`ratio to the better of PyTorch's: ${(ours / Math.max(...theirs)).toFixed(3)}`);
