import assert from "node:assert/strict";
import { join } from "node:path";
import { resolveEval, resolveTrain } from "../src/config/resolve.ts";
import { openImages } from "../src/data/open.ts";
import { evaluate, toImages } from "../src/commands/eval.ts";
import { loadModel } from "../src/training/stored_model.ts";
import { scope } from "../src/torch/scope.ts";
import { exists, REPOSITORY } from "../src/setup/environment.ts";
import { train } from "../src/commands/train.ts";
import { temporaryFolder } from "./made_data.ts";

const SHARED = join(REPOSITORY, "..", "shared", "data");
const SAMPLE = join(SHARED, "cifar10-sample");

/** A test of real images, ignored where they are missing. */
function sampleTest(name: string, paths: readonly string[], fn: () => Promise<void>): void {
  const isThere = paths.every(exists);
  Deno.test({ name: `sample: ${name}${isThere ? "" : " (skipped: no ../shared)"}`, ignore: !isThere, fn });
}

type Line = Record<string, number>;

function mean(lines: readonly Line[], name: string): number {
  return lines.reduce((sum, line) => sum + line[name], 0) / lines.length;
}

sampleTest("a short run lowers both losses, predicts manipulations, and resumes", [SAMPLE], async () => {
  using folder = temporaryFolder();
  const settings = (max_epochs: number) =>
    resolveTrain({
      dataset: "cifar10",
      data_dir: SAMPLE,
      results_path: folder.path,
      arch: "resnet18",
      width: 16,
      first_conv: 1,
      maxpool1: 1,
      feat_dim: 32,
      batch_size: 50,
      manip_lambda: 1,
      temperature: 0.5,
      optimizer: "adam",
      learning_rate: 2e-3,
      lr_scheduler: "none",
      warmup_epochs: 0,
      max_epochs,
      log_every: 1,
      resume: 1,
      gpus: 0,
    });
  const run = async (epochs: number) =>
    await train(settings(epochs), { signal: new AbortController().signal });
  assert.equal((await run(7)).steps, 280);
  assert.equal((await run(8)).steps, 320, "40 more steps after the 280 of the first run");
  const lines: Line[] = Deno.readTextFileSync(join(folder.path, "metrics.jsonl")).trim().split("\n")
    .map((line) => JSON.parse(line)).filter((line) => "train/loss" in line);
  assert.deepEqual(lines.map((line) => line.step), Array.from({ length: 320 }, (_, i) => i + 1));
  const first = lines.slice(0, 20), last = lines.slice(-20);
  for (const name of ["train/discrimination_loss", "train/manip_loss"]) {
    const [before, after] = [mean(first, name), mean(last, name)];
    assert.ok(after < before, `${name} went from ${before} to ${after}`);
  }
  const accuracy = mean(last, "train/manip_accuracy");
  assert.ok(accuracy > 0.55, `manipulation accuracy ${accuracy}`);
});

const checkpoint = join(SHARED, "checkpoints", "stec_resnet18_cifar10.ckpt");

sampleTest("the reference's checkpoint scores what it must", [SAMPLE, checkpoint], async () => {
  const stated = JSON.parse(Deno.readTextFileSync(checkpoint.replace(/ckpt$/, "json")));
  const { accuracy } = await evaluate(
    resolveEval({
      dataset: "cifar10",
      data_dir: SAMPLE,
      arch: "resnet18",
      ckpt_path: checkpoint,
      fp32: true,
      gpus: 0,
    }),
    () => {},
  );
  assert.equal(accuracy.toFixed(4), stated.sample_accuracy.toFixed(4));
});

sampleTest("the reference's checkpoint has the features that it must", [SAMPLE, checkpoint], async () => {
  const stated: number[][] =
    JSON.parse(Deno.readTextFileSync(checkpoint.replace(/ckpt$/, "json"))).first_features;
  const settings = resolveEval({
    dataset: "cifar10",
    data_dir: SAMPLE,
    ckpt_path: checkpoint,
    fp32: true,
    gpus: 0,
  });
  await using images = await openImages(settings, "test");
  using model = loadModel(checkpoint, "cpu", settings.maxpool1);
  for await (const batch of images.batches(4)) {
    scope(() => {
      const features = model.encoder.forward(toImages(batch, "cpu"));
      stated.forEach((row, image) => {
        const own = features.select(0, image).toNumbers();
        row.forEach((value, i) =>
          assert.ok(Math.abs(own[i] - value) <= 1e-5, `image ${image}: ${own[i]}, not ${value}`)
        );
      });
    });
    break;
  }
});
