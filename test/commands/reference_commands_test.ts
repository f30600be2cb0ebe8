import assert from "node:assert/strict";
import { join } from "node:path";
import sharp from "sharp";
import { parseLightning } from "../../src/checkpoint/lightning.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { parseCommandLine } from "../../src/config/command_line.ts";
import { evaluate } from "../../src/commands/eval.ts";
import { exists } from "../../src/setup/environment.ts";
import { counters } from "../../src/torch/scope.ts";
import { train, type TrainResult } from "../../src/commands/train.ts";
import {
  type MadeFolder,
  madeJpeg,
  temporaryFolder,
  writeCifar,
  writeCifar100,
  writeImageNet,
  writeJpegs,
  writeStl10,
} from "../made_data.ts";

/** The reference's commands, as its users have them; D, R and C stand for paths. */
const COMMANDS = {
  cifar10:
    "--dataset cifar10 --data_dir D --arch resnet18 --temperature .5 --learning_rate 4. --manip_lambda 1. --feat_dim 64 " +
    "--results_path R",
  cifar100:
    "--dataset cifar100 --data_dir D --arch resnet50 --hidden_mlp 1024 --temperature .5 --learning_rate 4. " +
    "--manip_lambda 1. --feat_dim 64 --results_path R",
  stl10:
    "--dataset stl10 --data_dir D --arch resnet18 --temperature .2 --learning_rate 1.2 --manip_lambda .3 --results_path R " +
    "--use_solarization 1 --use_gaussian_blur 1 --batch_size 512 --gpus 2",
  linear:
    "--dataset stl10 --data_dir D --arch resnet18 --batch_size 1024 --max_epochs 100 --optimizer sgd --learning_rate .04 " +
    "--stop_gradient 2 --reinitialize_supervised_head 1 --nesterov 1 --p_color_jitter -1 --p_grayscale -1 --ckpt_path C " +
    "--results_path R",
  imagenet:
    "--dataset imagenet --data_dir D --arch resnet50 --temperature .1 --learning_rate 1.97 --manip_lambda .6 " +
    "--results_path R --use_solarization 1 --use_gaussian_blur 1 --batch_size 210 --gpus 8 --max_epochs 100",
} as const;

/** Any folder of images. */
const FOLDER =
  "--dataset folder --data_dir D --image_size 32 --arch resnet18 --manip_lambda 1. --results_path R";

/** What makes a command small: these words come last, and the last value of a flag counts. */
const SMALL =
  "--batch_size 8 --max_steps 3 --width 4 --gpus 0 --log_every 1 --num_workers 2 --warmup_epochs 0";

/** Runs `train` with a command's words and more. */
async function run(command: string, data: string, results: string, more = ""): Promise<TrainResult> {
  const words = `train ${command} ${SMALL} ${more}`.trim().split(/\s+/);
  const paths: Record<string, string> = { D: data, R: results };
  const invocation = parseCommandLine(words.map((word) => paths[word] ?? word), 100);
  assert(invocation.command === "train");
  return await train(invocation.settings, { signal: new AbortController().signal });
}

function metrics(folder: string): Record<string, number>[] {
  return Deno.readTextFileSync(join(folder, "metrics.jsonl")).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
}

const PRETRAINING = ["loss", "manip_loss", "manip_accuracy", "discrimination_loss", "supervised_loss"]
  .concat(["supervised_accuracy", "contrast_accuracy", "contrast_entropy"]);
const LINEAR = ["loss", "supervised_loss", "supervised_accuracy"];

/** What method.md, section 5, wants in a results folder. */
function checkResults(folder: string, names: readonly string[]): void {
  const files = [...Deno.readDirSync(folder)].map((entry) => entry.name);
  for (const name of ["flags.json", "last.ckpt", "metrics.jsonl"]) assert(files.includes(name), name);
  assert(files.some((name) => name.startsWith("events.out.tfevents.")));
  const lines = metrics(folder),
    has = (name: string) => (line: Record<string, number>) => Number.isFinite(line[name]);
  for (const name of names) {
    assert.equal(lines.filter(has(`train/${name}`)).length, 3, `train/${name}`);
    assert.equal(lines.filter(has(`val/${name}`)).length, 1, `val/${name}`);
  }
  for (const name of ["test/loss", "test/accuracy"]) assert(lines.some(has(name)), name);
  assert.equal(lines.filter(has("learning_rate")).length, 3);
}

const MADE = {
  cifar10: () => writeCifar({ train: 40, test: 10 }),
  cifar100: () => writeCifar100({ train: 40, test: 10 }),
  stl10: () => writeStl10({ train: 12, test: 10, unlabeled: 40 }),
  imagenet: () => writeImageNet({ train: 60, test: 9 }),
} as const;

for (const name of ["cifar10", "cifar100", "stl10", "imagenet"] as const) {
  Deno.test(`reference commands: ${name} trains and writes its results`, async () => {
    using data: MadeFolder = await MADE[name]();
    using results = temporaryFolder();
    const before = counters(), more = name === "imagenet" ? "--image_size 48" : "";
    const result = await run(COMMANDS[name], data.path, results.path, more);
    assert.deepEqual(counters(), before);
    assert.deepEqual([result.steps, result.test?.count], [3, name === "imagenet" ? 9 : 10]);
    checkResults(results.path, PRETRAINING);
  });
}

Deno.test("reference commands: stl10's linear classifier learns from a checkpoint, and is evaluated", async () => {
  using data = MADE.stl10();
  using results = temporaryFolder();
  const pretrained = join(results.path, "pretrained"), linear = join(results.path, "linear");
  await run(COMMANDS.stl10, data.path, pretrained);
  const checkpoint = join(pretrained, "last.ckpt");
  const result = await run(COMMANDS.linear.replace(" C ", ` ${checkpoint} `), data.path, linear);
  assert.deepEqual([result.steps, result.test?.count], [3, 10]);
  checkResults(linear, LINEAR);
  assert(!metrics(linear).some((line) => "train/contrast_accuracy" in line), "there is no second view");
  // What was not trained is the checkpoint's; an epoch is as long as in pretraining.
  assert.deepEqual(weights(linear, "encoder."), weights(pretrained, "encoder."));
  assert.notDeepEqual(weights(linear, "supervised_head."), weights(pretrained, "supervised_head."));
  assert.deepEqual(metrics(linear).map((line) => line.epoch), metrics(pretrained).map((line) => line.epoch));

  const words = `eval --dataset stl10 --arch resnet18 --width 4 --gpus 0`.split(" ");
  const paths = ["--data_dir", data.path, "--ckpt_path", join(linear, "last.ckpt"), "--results_path", linear];
  const invocation = parseCommandLine([...words, ...paths], 100);
  assert(invocation.command === "eval");
  const notes: string[] = [];
  const again = await evaluate(invocation.settings, (note) => notes.push(note));
  assert.deepEqual([again.accuracy, again.count, notes], [result.test!.accuracy, 10, []]);
  const written = JSON.parse(Deno.readTextFileSync(join(linear, "eval_results.json")));
  assert.equal(written["test/accuracy"], again.accuracy);
});

Deno.test("reference commands: the best checkpoint by val/loss is kept, looked at every ten epochs", async () => {
  using data = MADE.cifar10();
  using results = temporaryFolder();
  await run(COMMANDS.cifar10, data.path, results.path, "--max_steps -1 --max_epochs 10 --batch_size 20");
  const names = [...Deno.readDirSync(results.path)].map(({ name }) => name);
  assert(names.includes("best.ckpt") && names.includes("last.ckpt"), names.join());
  const validations = metrics(results.path).filter((line) => "val/loss" in line);
  assert.deepEqual(validations.map(({ epoch }) => epoch), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

Deno.test("folder: images of a class each train like ImageNet's, with everything odd counted or skipped", async () => {
  using data = temporaryFolder();
  using results = temporaryFolder();
  await writeJpegs(data.path, { apples: 22, pears: 14, empty: 0 });
  const apple = (i: number) => join(data.path, "apples", `${String(i).padStart(4, "0")}.JPEG`);
  Deno.writeFileSync(apple(9), await madeJpeg(1, 1, 1));
  Deno.writeFileSync(apple(10), await madeJpeg(20_000, 2, 2));
  Deno.writeFileSync(apple(0), await hugeJpeg());
  Deno.copyFileSync(apple(0), apple(11));
  Deno.writeTextFileSync(apple(12), "This is no image.\n");
  Deno.truncateSync(apple(13), 200);
  Deno.symlinkSync("..", join(data.path, "pears", "up"));
  Deno.symlinkSync(".", join(data.path, "loop"));
  const said: string[] = [];
  const result = await listening(said, () => run(FOLDER, data.path, results.path, "--max_steps 8"));
  // Of 22 and 14 images 3 and 2 are held out, and one of them is too large to be looked at as a whole.
  assert.deepEqual([result.steps, result.test?.count], [8, 4]);
  const lines = metrics(results.path).filter((line) => "train/loss" in line);
  assert.equal(lines.filter((line) => Number.isFinite(line["train/supervised_loss"])).length, 8);
  const text = said.join("");
  assert.match(text, /^No images in the folder .*\/empty: it is not a class$/m);
  assert.match(text, /^Left out the folder .*\/loop: it links back to /m);
  assert.match(text, /^Left out the folder .*\/pears\/up: it links back to /m);
  assert.match(
    text,
    /^Holding out 10% of 2 of 2 classes for validation \(fewer than 500 images\)$/m,
  );
  assert.match(
    text,
    /0000\.JPEG: it has 92 megapixels to decode, the limit is 89; it is left out \(1 so far\)$/m,
  );
  assert.match(
    text,
    /0012\.JPEG: it is not a JPEG, PNG, WebP, TIFF or GIF; another image takes its place \(\d so far\)$/m,
  );
  assert.match(text, /0013\.JPEG: .*; another image takes its place \(\d so far\)$/m);
  assert(!/00(09|10|11)\.JPEG/.test(text), "small, long and large images have views like others");
});

Deno.test("folder: images without classes train without a probe, and nothing is tested", async () => {
  using data = temporaryFolder();
  using results = temporaryFolder();
  await writeJpegs(data.path, { ".": 20 });
  const result = await run(FOLDER, data.path, results.path);
  assert.deepEqual([result.steps, result.test], [3, null]);
  const lines = metrics(results.path);
  assert(!lines.some((line) => Object.keys(line).some((name) => /supervised|test/.test(name))));
  assert.equal(lines.filter((line) => Number.isFinite(line["train/manip_loss"])).length, 3);
  const linear = "--stop_gradient 2 --ckpt_path " + join(results.path, "last.ckpt");
  await assert.rejects(
    run(FOLDER, data.path, results.path, linear),
    /^Error: Cannot train the supervised head alone on .*: its images have no labels$/,
  );
});

/** 20,000 x 4,600 pixels of one colour. */
async function hugeJpeg(): Promise<Uint8Array> {
  const create = { width: 20_000, height: 4_600, channels: 3 as const, background: "red" };
  return await sharp({ create, limitInputPixels: false }).jpeg().toBuffer();
}

/** Collects what is written to standard error meanwhile. */
async function listening<T>(said: string[], work: () => Promise<T>): Promise<T> {
  const { writeSync } = Deno.stderr, decoder = new TextDecoder();
  Deno.stderr.writeSync = (bytes) => (said.push(decoder.decode(bytes)), bytes.length);
  try {
    return await work();
  } finally {
    Deno.stderr.writeSync = writeSync;
  }
}

/** The bytes of a checkpoint's weights. */
function weights(folder: string, prefix: string): [string, unknown][] {
  using file = readCheckpoint(join(folder, "last.ckpt"));
  const { stateDict } = parseLightning(file.root);
  return [...stateDict].filter(([name]) => name.startsWith(prefix)).map((
    [name, stored],
  ) => [name, stored.read()]);
}

for (const [name, folder] of [["cifar10", "cifar10-sample"], ["imagenet", "imagenet-sample"]] as const) {
  const data = new URL(`../../shared/data/${folder}`, import.meta.url).pathname, isThere = exists(data);
  Deno.test({
    name: `reference commands: ${name} trains on real images${isThere ? "" : " (skipped: no ../shared)"}`,
    ignore: !isThere,
    async fn() {
      using results = temporaryFolder();
      const more = name === "imagenet" ? "--arch resnet18" : "";
      const result = await run(COMMANDS[name], data, results.path, more);
      assert.equal(result.test?.count, name === "imagenet" ? 8 : 500);
      checkResults(results.path, PRETRAINING);
    },
  });
}
