// deno-lint-ignore-file no-console -- a script that prints its results
/**
 * The time of a training step (ResNet-18, CIFAR stem) beside the same step in PyTorch, step about in one run.
 *
 *     deno run -A scripts/bench_step.ts [--python python3] [--batch 64] [--threads 2] [--steps 10]
 *         [--layout channels_last]
 *
 * Both sides lay weights and activations out as `--layout` says; channels last is what training uses.
 *
 * @module
 */

import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { parseArgs } from "node:util";
import { resolveTrain } from "../src/config/resolve.ts";
import { METHODS } from "../src/methods/registry.ts";
import { buildModel, buildOptimizer } from "../src/training/build.ts";
import { type Learner, trainStep } from "../src/training/step.ts";
import { fromTypedArray, zeros } from "../src/torch/create.ts";
import { setThreads } from "../src/torch/device.ts";
import { describeLibrary } from "../src/torch/library.ts";
import { keep } from "../src/torch/scope.ts";
import { median } from "./median.ts";

const { values } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    batch: { type: "string", default: "64" },
    threads: { type: "string", default: "2" },
    steps: { type: "string", default: "10" },
    layout: { type: "string", default: "channels_last" },
  },
});
const batchSize = Number(values.batch), steps = Number(values.steps);
const layout = values.layout === "channels_last" ? "channels_last" : "contiguous";
setThreads(Number(values.threads));

/** A step of this program, in milliseconds. */
async function ownStep(precision: "fp32" | "bf16"): Promise<() => number> {
  const settings = resolveTrain({
    dataset: "cifar10",
    arch: "resnet18",
    feat_dim: 64,
    manip_lambda: 1,
    temperature: 0.5,
    precision,
  });
  const model = buildModel(await METHODS.simclr.load(), settings, 10, 0).to({ memoryFormat: layout });
  const learner: Learner = {
    model,
    optimizer: buildOptimizer(settings, model.namedParameters()),
    device: "cpu",
    precision: precision === "bf16" ? "bfloat16" : null,
  };
  const views = keep(zeros([2 * batchSize, 3, 32, 32]).uniform_().contiguous(layout));
  const manipulation = keep(zeros([batchSize, 2, 3]).uniform_(-1, 1));
  const labels = keep(fromTypedArray(BigInt64Array.from({ length: batchSize }, (_, i) => BigInt(i % 10))));
  const prepared = { toBatch: () => ({ pairs: { views, manipulation, solarized: null, labels } }) };
  return () => {
    const start = performance.now();
    trainStep(learner, prepared, { learningRate: 0.1, progress: 0 }).values[Symbol.dispose]();
    return performance.now() - start;
  };
}

/** A step of PyTorch, in milliseconds. */
async function peerStep(precision: string): Promise<{ step: () => Promise<number>; end: () => void }> {
  const script = new URL("./bench_step_peer.py", import.meta.url).pathname;
  const child = new Deno.Command(values.python, {
    args: ["-W", "ignore", script, values.batch, precision, values.threads, layout],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = createInterface({ input: Readable.fromWeb(child.stdout) })[Symbol.asyncIterator]();
  const requests = child.stdin.getWriter();
  const ready: string = (await lines.next()).value ?? "";
  if (!ready.startsWith("ready")) throw new Error(`Cannot start the PyTorch peer with ${values.python}`);
  console.log(`${precision}: PyTorch ${ready.slice(6).trim()}, here libtorch ${describeLibrary().version}`);
  return {
    async step() {
      await requests.write(new TextEncoder().encode("\n"));
      return Number((await lines.next()).value);
    },
    end: () => void requests.close(),
  };
}

for (const precision of ["fp32", "bf16"] as const) {
  const own = await ownStep(precision), peer = await peerStep(precision);
  const ours: number[] = [], theirs: number[] = [];
  for (let i = -2; i < steps; i++) {
    const [mine, other] = [own(), await peer.step()];
    if (i >= 0) ours.push(mine), theirs.push(other);
  }
  peer.end();
  const [a, b] = [median(ours), median(theirs)];
  console.log(
    `${precision}: ${a.toFixed(0)} ms here, ${b.toFixed(0)} ms in PyTorch, ratio ${(a / b).toFixed(3)}`,
  );
}
