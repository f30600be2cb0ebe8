import assert from "node:assert/strict";
import sharp from "sharp";
import { MemoryBatches } from "../../src/data/batches.ts";
import { FolderBatches, type FolderBatchesOptions } from "../../src/data/folder_batches.ts";
import { listImageFolder } from "../../src/data/image_folder.ts";
import type { Batch } from "../../src/data/batch.ts";
import { scope } from "../../src/torch/scope.ts";
import { threads } from "../../src/torch/device.ts";
import { temporaryFolder, writeJpegs } from "../made_data.ts";
import { madeUpBytes } from "../augment/pixels.ts";
import { BLURRED, COLORLESS, testRecipes } from "../augment/recipes.ts";

const OPTIONS: FolderBatchesOptions = {
  views: testRecipes(24, BLURRED),
  ...{ batchSize: 4, seed: 5, device: "cpu", rank: 0, processes: 1, workers: 2, linear: false },
};

type Numbers = Record<string, readonly number[]>;

/** A batch's tensors as numbers. */
/** The one part that a batch of files has. */
function oneOf({ pairs, labeled }: Batch) {
  assert.ok((pairs === undefined) !== (labeled === undefined));
  return pairs ?? labeled!;
}

function numbersOf(prepared: { toBatch(): Batch }): Numbers {
  return scope(() => {
    const entries = Object.entries(oneOf(prepared.toBatch())).filter(([, tensor]) => tensor !== null);
    return Object.fromEntries(entries.map(([name, tensor]) => [name, tensor.toNumbers()]));
  });
}

/** A source of a folder's files. */
function open(folder: string, more: Partial<FolderBatchesOptions> = {}): FolderBatches {
  return new FolderBatches(listImageFolder(folder), { ...OPTIONS, ...more });
}

function isEqual(a: Numbers, b: Numbers): boolean {
  return Object.keys(a).every((name) => a[name].every((value, i) => value === b[name][i]));
}

Deno.test("folder batches: they depend on seed and place alone, not on workers or on what came before", async () => {
  using folder = temporaryFolder();
  await writeJpegs(folder.path, { a: 11, b: 9 });
  await using one = open(folder.path, { workers: 1 });
  await using many = open(folder.path, { workers: 3 });
  await using other = open(folder.path, { seed: 6 });
  assert.deepEqual([one.count, one.classes, one.validationBatches], [17, 2, 1]);
  const batches: Numbers[] = [];
  for (const epoch of [0, 1]) {
    for (const step of [0, 1, 2, 3]) batches.push(numbersOf(await one.prepare({ epoch, step })));
  }
  assert.deepEqual(Object.keys(batches[0]), ["views", "manipulation", "solarized", "labels"]);
  for (const index of [2, 5, 6, 0]) {
    const place = { epoch: Math.floor(index / 4), step: index % 4 };
    const prepared = await many.prepare(place);
    assert(isEqual(numbersOf(prepared), batches[index]), `batch ${index}`);
    assert(isEqual(numbersOf(prepared), batches[index]), "once more");
  }
  assert.notDeepEqual(numbersOf(await other.prepare({ epoch: 0, step: 0 })), batches[0]);
  assert.notDeepEqual(batches[4].views, batches[0].views);
  const held = numbersOf(await one.prepareValidation(0));
  assert.deepEqual([held.labels.toSorted(), held.views.length], [[0, 0, 1], 6 * 3 * 24 * 24]);
  assert(isEqual(numbersOf(await many.prepareValidation(0)), held));
});

Deno.test("folder batches: their views are those of images in memory, but for rounding to whole levels", async () => {
  using folder = temporaryFolder();
  const count = 10,
    images = scope(() => madeUpBytes("png", [count, 3, 24, 24]).toTypedArray()) as Uint8Array<ArrayBuffer>;
  for (const name of ["a", "b"]) Deno.mkdirSync(`${folder.path}/${name}`);
  for (let i = 0; i < count; i++) {
    const planes = images.subarray(i * 1728, (i + 1) * 1728);
    const pixels = Uint8Array.from(planes, (_, j) => planes[j % 3 * 576 + Math.floor(j / 3)]);
    const png = sharp(pixels, { raw: { width: 24, height: 24, channels: 3 } }).png();
    const name = i < 9 ? "a" : "b";
    Deno.writeFileSync(`${folder.path}/${name}/${i}.png`, await png.toBuffer());
  }
  const views = testRecipes(24, COLORLESS);
  await using files = open(folder.path, { views });
  // The first image is held out.
  const dataset = {
    ...{
      name: "png",
      split: "train" as const,
      images: images.slice(1728),
      labels: Int32Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1),
      count: 9,
    },
    ...{ height: 24, width: 24, classes: ["a", "b"] },
  };
  await using memory = new MemoryBatches({ pairs: dataset, labelled: null, count: 9 }, { ...OPTIONS, views });
  for (const step of [0, 1]) {
    const [a, b] = [files, memory].map((source) => source.prepare({ epoch: 2, step }));
    const [stored, kept] = [numbersOf(await a), numbersOf(await b)];
    assert.deepEqual([stored.manipulation, stored.labels], [kept.manipulation, kept.labels]);
    const worst = Math.max(...stored.views.map((value, i) => Math.abs(value - kept.views[i])));
    assert(worst <= 1.01 / 255, `${worst * 255} levels`);
  }
});

Deno.test("folder batches: linear evaluation has the first views alone", async () => {
  using folder = temporaryFolder();
  await writeJpegs(folder.path, { a: 6, b: 6 });
  await using pairs = open(folder.path);
  await using single = open(folder.path, { linear: true });
  const both = numbersOf(await pairs.prepare({ epoch: 0, step: 1 }));
  const first = numbersOf(await single.prepare({ epoch: 0, step: 1 }));
  assert.deepEqual(first, { views: both.views.slice(0, both.views.length / 2), labels: both.labels });
});

Deno.test("folder batches: a folder without classes has no labels", async () => {
  using folder = temporaryFolder();
  await writeJpegs(folder.path, { ".": 9 });
  await using source = open(folder.path);
  assert.equal(source.classes, 0);
  assert.equal(scope(() => (source.prepare({ epoch: 0, step: 0 }), 0)), 0);
  assert(!("labels" in numbersOf(await source.prepare({ epoch: 0, step: 0 }))));
});

Deno.test("folder batches: files that cannot be decoded are named once and replaced, the others stay as they are", async () => {
  using folder = temporaryFolder();
  await writeJpegs(folder.path, { a: 22 });
  await using whole = open(folder.path, { views: testRecipes(24, { gaussian_blur_prob: 0.5 }) });
  const before: Numbers[] = [];
  for (let step = 0; step < 4; step++) before.push(numbersOf(await whole.prepare({ epoch: 0, step })));
  const broken = [5, 9, 10].map((i) => `a/${String(i).padStart(4, "0")}.JPEG`);
  Deno.writeTextFileSync(`${folder.path}/${broken[0]}`, "This is no image.\n");
  Deno.writeTextFileSync(`${folder.path}/${broken[1]}`, "");
  Deno.truncateSync(`${folder.path}/${broken[2]}`, 300);
  await using source = open(folder.path, { views: testRecipes(24, { gaussian_blur_prob: 0.5 }) });
  await using again = open(folder.path, { views: testRecipes(24, { gaussian_blur_prob: 0.5 }), workers: 1 });
  source.notes.length = 0;
  let same = 0;
  for (const epoch of [0, 1]) {
    for (let step = 0; step < 4; step++) {
      const batch = numbersOf(await source.prepare({ epoch, step }));
      const repeated = numbersOf(await again.prepare({ epoch, step }));
      assert(isEqual(repeated, batch), `epoch ${epoch}, step ${step}`);
      if (epoch > 0) continue;
      const view = 3 * 24 * 24,
        viewOf = (numbers: Numbers, i: number) => numbers.views.slice(i * view, (i + 1) * view);
      for (let i = 0; i < 4; i++) same += sameNumbers(viewOf(batch, i), viewOf(before[step], i));
    }
  }
  const notes = source.notes.splice(0).sort();
  assert.equal(notes.length, 3, notes.join("\n"));
  for (const path of broken) {
    const note = notes.find((text) => text.startsWith(`Cannot decode ${folder.path}/${path}: `));
    assert.match(note ?? "", /; another image takes its place \([123] so far\)$/);
  }
  // Of 20 training images 16 are shown in an epoch, and at least 13 of them are whole.
  assert(same >= 13 && same < 16, `${same}`);
});

/** 1 where both are the same. */
function sameNumbers(a: readonly number[], b: readonly number[]): number {
  return a.every((value, i) => value === b[i]) ? 1 : 0;
}

Deno.test("folder batches: too many files that cannot be decoded stop the run with their list", async () => {
  using folder = temporaryFolder();
  await writeJpegs(folder.path, { a: 30 });
  for (let i = 8; i < 20; i++) {
    Deno.writeTextFileSync(`${folder.path}/a/${String(i).padStart(4, "0")}.JPEG`, "text");
  }
  await using source = open(folder.path);
  const run = async () => {
    for (let step = 0; step < 12; step++) {
      await source.prepare({ epoch: Math.floor(step / 6), step: step % 6 });
    }
  };
  await assert.rejects(run, (error: Error) => {
    const [sentence, ...list] = error.message.split("\n");
    assert.match(sentence, /^Cannot decode 11 of the 27 images in .*:$/);
    assert.equal(list.length, 11);
    for (const line of list) {
      assert.match(line, /^ {2}\S+\/a\/00(0[89]|1\d)\.JPEG: it is not a JPEG, PNG, WebP, TIFF or GIF$/);
    }
    return true;
  });
});

Deno.test("folder batches: where no file can be decoded, the run stops", async () => {
  using folder = temporaryFolder();
  for (const name of ["a", "b", "c", "d", "e"]) Deno.writeTextFileSync(`${folder.path}/${name}.jpg`, "text");
  await using source = open(folder.path);
  await assert.rejects(
    async () => await source.prepare({ epoch: 0, step: 0 }),
    /^Error: Cannot decode 4 of the 4 images/,
  );
});

Deno.test("folder batches: workers leave the threads of the main thread alone, and end in the middle of their work", async () => {
  using folder = temporaryFolder();
  await writeJpegs(folder.path, { a: 30 });
  const before = threads();
  {
    await using source = open(folder.path, { workers: 4 });
    await source.prepare({ epoch: 0, step: 0 });
    assert.equal(threads(), before);
  }
  await using source = open(folder.path, { workers: 4 });
  const asked = source.prepare({ epoch: 0, step: 0 });
  asked.catch(() => {});
  await source[Symbol.asyncDispose]();
  await assert.rejects(asked, /^Error: Cannot decode images: the workers were ended$/);
});
