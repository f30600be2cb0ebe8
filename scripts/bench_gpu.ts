// deno-lint-ignore-file no-console -- a script that prints its results
/**
 * Training on a GPU beside PyTorch, eager and compiled: ResNet-18 with the CIFAR stem, bfloat16, channels last, each in a
 * process of its own, in turn, in one run. What is measured here includes the data path, from a data set in memory to views;
 * PyTorch's views are made before. Prints images a second (an image is two views), the peak of memory and how busy the GPU
 * was.
 *
 *     deno run -A scripts/bench_gpu.ts [--python python3] [--batch 1024] [--steps 200] [--rounds 5] [--gpus 1]
 *
 * @module
 */

import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { parseArgs } from "node:util";
import { viewRecipes } from "../src/augment/recipe.ts";
import { resolveTrain } from "../src/config/resolve.ts";
import { MemoryBatches } from "../src/data/batches.ts";
import { METHODS } from "../src/methods/registry.ts";
import { buildModel, buildOptimizer } from "../src/training/build.ts";
import { replayedSteps } from "../src/training/graph_step.ts";
import { LAYOUT, resolveDevice } from "../src/machine/machine.ts";
import { type Learner, trainStep } from "../src/training/step.ts";
import { cudaMemory, describeCudaDevice, gpuNumber, resetCudaPeak, synchronize } from "../src/torch/cuda.ts";
import { describeLibrary } from "../src/torch/library.ts";
import { median } from "./median.ts";

const { values } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    batch: { type: "string", default: "1024" },
    steps: { type: "string", default: "200" },
    rounds: { type: "string", default: "5" },
    gpus: { type: "string", default: "1" },
    // What the program starts itself with: to train as one of the peers, in a process of its own.
    own: { type: "string" },
  },
});
const batch = Number(values.batch), steps = Number(values.steps), rounds = Number(values.rounds);
const device = resolveDevice(Number(values.gpus)), onGpu = gpuNumber(device) !== null;
/** Enough for cuDNN to choose and for a step to be compiled or recorded. */
const WARM_UP = 5;

/** Some steps: their milliseconds, and the peak of memory in bytes. */
type Measured = readonly [milliseconds: number, peak: number];
type Runner = (steps: number) => Promise<Measured>;

async function own(recorded: boolean): Promise<Runner> {
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
  const views = viewRecipes(settings);
  const source = new MemoryBatches({ pairs: images, labelled: null, count }, {
    views,
    batchSize: batch,
    seed: 0,
    device,
    rank: 0,
    processes: 1,
  });
  const model = buildModel(await METHODS.simclr.load(), settings, 10, 0).to({ device, memoryFormat: LAYOUT });
  const plain: Learner = {
    model,
    optimizer: buildOptimizer(settings, model.namedParameters()),
    device,
    precision: "bfloat16",
  };
  const learner = recorded ? { ...plain, graph: replayedSteps(plain) } : plain;
  const perEpoch = Math.floor(count / batch);
  let done = 0;
  return async (steps) => {
    synchronize(device);
    // What a recording needs it has taken before.
    if (onGpu && !recorded) resetCudaPeak(device);
    const start = performance.now();
    for (let i = 0; i < steps; i++, done++) {
      const prepared = await source.prepare({ epoch: Math.floor(done / perEpoch), step: done % perEpoch });
      trainStep(learner, prepared, { learningRate: 0.1, progress: 0 }).values[Symbol.dispose]();
    }
    synchronize(device);
    return [performance.now() - start, onGpu ? cudaMemory(device).peakAllocated : 0];
  };
}

/** Trains as many steps as each line of standard input asks for, and answers as bench_gpu_peer.py does. */
async function serve(runner: Runner): Promise<void> {
  console.log("ready");
  for await (const line of createInterface({ input: Readable.fromWeb(Deno.stdin.readable) })) {
    console.log((await runner(Number(line))).join(" "));
  }
}

interface Peer extends Disposable {
  readonly name: string;
  readonly run: Runner;
}

async function peer(name: string, program: string, args: string[]): Promise<Peer> {
  const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
  const lines = createInterface({ input: Readable.fromWeb(child.stdout) })[Symbol.asyncIterator]();
  const requests = child.stdin.getWriter();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${name} has ended (${program}): see its words above`);
    return value as string;
  };
  await answer();
  return {
    name,
    async run(steps) {
      await requests.write(new TextEncoder().encode(`${steps}\n`));
      const [milliseconds, peak] = (await answer()).split(" ").map(Number);
      return [milliseconds, peak];
    },
    [Symbol.dispose]: () => void requests.close().catch(() => {}),
  };
}

/** The share of the time that the GPU was busy while `body` ran, in percent, by nvidia-smi; NaN where it cannot tell. */
async function busyDuring<T>(body: () => Promise<T>): Promise<[T, number]> {
  const watcher = watch();
  const result = await body();
  if (watcher === null) return [result, NaN];
  watcher.kill("SIGTERM");
  const text = new TextDecoder().decode((await watcher.output()).stdout);
  // The first and the last look reach beyond what was measured.
  const shares = text.trim().split("\n").map(Number).filter(Number.isFinite).slice(2, -1);
  return [result, shares.reduce((sum, share) => sum + share, 0) / shares.length];
}

function watch(): Deno.ChildProcess | null {
  if (!onGpu) return null;
  const args = ["-i", `${gpuNumber(device)}`, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"];
  try {
    return new Deno.Command("nvidia-smi", { args: [...args, "-lms", "100"], stdout: "piped" }).spawn();
  } catch {
    return null;
  }
}

async function startPeers(): Promise<Peer[]> {
  const script = (name: string) => new URL(`./${name}`, import.meta.url).pathname;
  const ours = (kind: string) => {
    const own = ["run", "-A", "--no-check", script("bench_gpu.ts"), "--own", kind];
    return peer(`S-TEC, ${kind}`, Deno.execPath(), [...own, "--batch", values.batch, "--gpus", values.gpus]);
  };
  const theirs = (name: string, mode: string) =>
    peer(`PyTorch, ${name}`, values.python, [
      "-W",
      "ignore",
      script("bench_gpu_peer.py"),
      values.batch,
      mode,
      device,
    ]);
  const peers = [await ours("plain")];
  if (onGpu) peers.push(await ours("--cuda_graph"));
  return [...peers, await theirs("eager", "eager"), await theirs("torch.compile", "compile")];
}

async function compare(): Promise<void> {
  const peers = await startPeers();
  const found = peers.map(({ name, run }) => ({
    name,
    run,
    times: [] as number[],
    peak: 0,
    busy: [] as number[],
  }));
  for (const { run } of found) await run(WARM_UP);
  for (let round = 0; round < rounds; round++) {
    for (const entry of found) {
      const [[milliseconds, peak], busy] = await busyDuring(() => entry.run(steps));
      entry.times.push(milliseconds / steps);
      entry.busy.push(busy);
      entry.peak = Math.max(entry.peak, peak);
    }
  }
  for (const peer of peers) peer[Symbol.dispose]();

  const name = onGpu ? describeCudaDevice(device).name : "the CPU";
  console.log(
    `ResNet-18, CIFAR stem, batch ${batch}, bfloat16 on ${name}, libtorch ${describeLibrary().version}: ` +
      `medians of ${rounds} rounds of ${steps} steps in turn; S-TEC with its data path, PyTorch without`,
  );
  console.log(`${"".padEnd(24)}images/s   ms/step  peak GiB    busy %`);
  for (const { name, times, peak, busy } of found) {
    const time = median(times);
    const cells = [(batch / time * 1000).toFixed(0), time.toFixed(2), (peak / 2 ** 30).toFixed(2)];
    console.log(
      name.padEnd(24) + [...cells, median(busy).toFixed(0)].map((cell) => cell.padStart(8)).join("  "),
    );
  }
  const best = (whose: string) =>
    Math.max(...found.filter(({ name }) => name.startsWith(whose)).map(({ times }) => 1 / median(times)));
  const better = best("PyTorch");
  console.log(`plain to the better of PyTorch's: ${(1 / median(found[0].times) / better).toFixed(3)}`);
  if (onGpu) {
    console.log(`the better of ours to the better of PyTorch's: ${(best("S-TEC") / better).toFixed(3)}`);
  }
}

if (values.own === undefined) await compare();
else await serve(await own(values.own === "--cuda_graph"));
