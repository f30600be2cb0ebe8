import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import sharp from "sharp";
import { viewRecipes } from "../../src/augment/recipe.ts";
import { parseLightning } from "../../src/checkpoint/lightning.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
import { resolvePreview } from "../../src/config/resolve.ts";
import { MemoryBatches } from "../../src/data/batches.ts";
import { loadCifar } from "../../src/data/cifar.ts";
import { loadStl10 } from "../../src/data/stl10.ts";
import { preview } from "../../src/commands/preview.ts";
import { predictedBin } from "../../src/preview/facts.ts";
import { loadModel } from "../../src/training/stored_model.ts";
import { pairsOf } from "../../src/data/batch.ts";
import { manipulationBins } from "../../src/methods/manipulation_head.ts";
import { noGrad } from "../../src/torch/autograd.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import { temporaryFolder, writeCifar, writeImageNet, writeJpegs, writeStl10 } from "../made_data.ts";
import { writeModel } from "../made_model.ts";
import { browse } from "../preview/browser.ts";

/** The pixels of a picture in a page, (3, height, width). */
async function pixelsOf(picture: string): Promise<number[]> {
  const bytes = Buffer.from(picture.slice(picture.indexOf(",") + 1), "base64");
  const { data } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  return [0, 1, 2].flatMap((channel) => [...data].filter((_, i) => i % 3 === channel));
}

Deno.test("preview: shows the very views, matrices and bins of a run's first step, and what the head makes of them", async () => {
  using folder = writeCifar({ train: 20, test: 4 });
  const ckpt_path = join(folder.path, "a.ckpt"), output = join(folder.path, "page.html");
  writeModel(ckpt_path);
  const flags = {
    dataset: "cifar10",
    data_dir: folder.path,
    use_gaussian_blur: 1,
    use_solarization: 1,
    seed: 5,
  };
  const before = counters();
  const shown = await preview(resolvePreview({ ...flags, ckpt_path, output, count: 4 }));
  assert.deepEqual(counters(), before);
  assert.deepEqual([shown.bins, shown.pairs.length, shown.checkpoint?.steps], [4, 4, 7]);

  const settings = resolvePreview(flags), dataset = await loadCifar("cifar10", folder.path, "train");
  await using source = new MemoryBatches({ pairs: dataset, labelled: null, count: dataset.count }, {
    views: viewRecipes(settings),
    batchSize: 4,
    seed: 5,
    device: "cpu",
    rank: 0,
    processes: 1,
  });
  using model = loadModel(ckpt_path, "cpu", false);
  const prepared = await source.prepare({ epoch: 0, step: 0 });
  const expected = noGrad(() =>
    scope(() => {
      const made = pairsOf(prepared.toBatch());
      const [a, b] = model.encoder.forward(made.views).chunk(2);
      return {
        views: made.views.mul(255).round().toNumbers(),
        matrices: made.manipulation.toNumbers(),
        bins: manipulationBins(made.manipulation, 4).toNumbers(),
        predicted: model.manipulationHead!.forward(a, b).argmax(1).toNumbers(),
        labels: made.labels!.toNumbers(),
      };
    })
  );
  for (const [i, { name, views, entries }] of shown.pairs.entries()) {
    assert.ok(name.startsWith(`${dataset.classes[expected.labels[i]]}, image `), name);
    for (const view of [0, 1]) {
      const start = (4 * view + i) * 3072;
      assert.deepEqual(await pixelsOf(views[view].picture), expected.views.slice(start, start + 3072));
    }
    const six = <T>(values: readonly T[]) => values.slice(6 * i, 6 * i + 6);
    assert.deepEqual(entries.map(({ value }) => value), six(expected.matrices));
    assert.deepEqual(entries.map(({ bin }) => bin), six(expected.bins));
    assert.deepEqual(entries.map(predictedBin), six(expected.predicted));
    for (const { probabilities } of entries) {
      assert.ok(Math.abs(probabilities!.reduce((sum, share) => sum + share, 0) - 1) < 1e-5);
    }
  }
  assert.match(Deno.readTextFileSync(output), /<title>S-TEC preview: cifar10<\/title>/);
});

Deno.test("preview: image files of any size, with what cannot be decoded passed over", async () => {
  using folder = temporaryFolder();
  await writeJpegs(folder.path, { apples: 3, "pears <&>": 3 });
  Deno.writeTextFileSync(`${folder.path}/apples/text.JPEG`, "no image");
  Deno.writeFileSync(
    `${folder.path}/apples/grey.png`,
    await sharp(Buffer.alloc(30 * 20, 128), { raw: { width: 30, height: 20, channels: 1 } }).png().toBuffer(),
  );
  const output = join(folder.path, "page.html");
  const settings = resolvePreview({
    dataset: "folder",
    data_dir: folder.path,
    image_size: 16,
    output,
    count: 99,
  });
  const notes: string[] = [], { pairs } = await preview(settings, (note) => notes.push(note));
  assert.ok(notes.some((note) => note.startsWith(`No test set in ${folder.path}`)));
  assert.ok(notes.some((note) => /^Cannot decode .*text\.JPEG: .*; it is passed over$/.test(note)));
  assert.ok(pairs.length >= 5 && pairs.every(({ name }) => !name.includes("text")));
  assert.ok(new Set(pairs.map(({ width, height }) => `${width} x ${height}`)).size > 1);
  assert.match(Deno.readTextFileSync(output), /<h2>pears &lt;&amp;&gt;\/\d{4}\.JPEG<\/h2>/);
});

Deno.test("preview: of STL-10 the very views of a run's first step, of images without labels", async () => {
  using folder = writeStl10({ train: 3, test: 2, unlabeled: 9 });
  // A preview needs no others.
  for (const name of ["train_X", "train_y", "test_X", "test_y"]) {
    Deno.removeSync(`${folder.path}/${name}.bin`);
  }
  const output = join(folder.path, "page.html");
  const settings = resolvePreview({ dataset: "stl10", data_dir: folder.path, output, count: 4 });
  const { pairs } = await preview(settings);
  const dataset = await loadStl10(folder.path, "unlabeled");
  await using source = new MemoryBatches({ pairs: dataset, labelled: null, count: dataset.count }, {
    views: viewRecipes(settings),
    ...{ batchSize: 4, seed: settings.seed, device: "cpu", rank: 0, processes: 1 },
  });
  const prepared = await source.prepare({ epoch: 0, step: 0 });
  const expected = scope(() => pairsOf(prepared.toBatch()).views.mul(255).round().toNumbers()),
    length = 3 * 96 * 96;
  for (const [i, { name, views }] of pairs.entries()) {
    assert.match(name, /^stl10, unlabelled image [0-8]$/);
    for (const view of [0, 1]) {
      const start = (4 * view + i) * length;
      assert.deepEqual(await pixelsOf(views[view].picture), expected.slice(start, start + length));
    }
  }
});

Deno.test("preview: ImageNet is shown as well", async () => {
  using folder = await writeImageNet({ train: 4, test: 2 });
  const output = join(folder.path, "page.html");
  const flags = { dataset: "imagenet", data_dir: folder.path, output, count: 2, image_size: 32 };
  assert.equal((await preview(resolvePreview(flags))).pairs.length, 2);
});

Deno.test("preview: a checkpoint without a manipulation head is refused in one sentence, a page nowhere too", async () => {
  using folder = writeCifar({ train: 5, test: 5 });
  const whole = join(folder.path, "a.ckpt"), ckpt_path = join(folder.path, "encoder.pt");
  writeModel(whole);
  {
    using file = readCheckpoint(whole);
    const { stateDict } = parseLightning(file.root);
    writeCheckpoint(ckpt_path, new Map([...stateDict].filter(([name]) => name.startsWith("encoder."))));
  }
  const flags = { dataset: "cifar10", data_dir: folder.path, output: join(folder.path, "none", "page.html") };
  await assert.rejects(preview(resolvePreview({ ...flags, ckpt_path })), {
    message: `Cannot show predictions of ${ckpt_path}: it has no manipulation head`,
  });
  await assert.rejects(preview(resolvePreview(flags)), /^Error: Cannot write .*page\.html: /);
});

Deno.test("preview: a browser shows all of it, in the width of a telephone too", async (context) => {
  using folder = temporaryFolder();
  const output = join(folder.path, "page.html"), shot = join(folder.path, "page.png");
  const ckpt_path = join(folder.path, `${"long".repeat(20)}.ckpt`);
  writeModel(ckpt_path);
  await preview(resolvePreview({ dataset: "shapes", output, count: 2, ckpt_path }));
  const text = await browse(output, "--dump-dom");
  await context.step({
    name: text === null ? "skipped: no chromium" : "looked at",
    ignore: text === null,
    fn: async () => {
      assert.match(text!, /<svg class="whole"/);
      await browse(output, `--screenshot=${shot}`, "--window-size=500,1600");
      const { data, info } = await sharp(shot).removeAlpha().raw().toBuffer({ resolveWithObject: true });
      assert.equal(info.width, 500);
      // Nothing is wider than the page: its margin at the right is of one colour from top to bottom.
      const { data: margin } = await sharp(shot).removeAlpha()
        .extract({ left: info.width - 10, top: 0, width: 10, height: info.height })
        .raw().toBuffer({ resolveWithObject: true });
      assert.ok(margin.every((value, i) => value === margin[i % 3]));
      assert.ok(new Set(data).size > 100, "there is something to see");
    },
  });
});
