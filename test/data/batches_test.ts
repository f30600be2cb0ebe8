import assert from "node:assert/strict";
import { makeFirstViews } from "../../src/augment/views.ts";
import { drawViews, equalSizes } from "../../src/augment/parameters.ts";
import { pairsOf } from "../../src/data/batch.ts";
import { type BatchImages, type BatchSourceOptions, MemoryBatches } from "../../src/data/batches.ts";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { epochOrder } from "../../src/data/order.ts";
import { Random } from "../../src/base/random.ts";
import { borrowTypedArray, fromTypedArray } from "../../src/torch/create.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import { assertClose } from "../golden.ts";
import { testRecipes } from "../augment/recipes.ts";

const SIZE = 8, BYTES = 3 * SIZE * SIZE;

const OPTIONS: BatchSourceOptions = {
  views: testRecipes(SIZE),
  ...{ batchSize: 4, seed: 5, device: "cpu", rank: 0, processes: 1 },
};

/** Random images; labelled ones carry their own number as label. */
function made(count: number, labelled: boolean): ImageDataset {
  const random = new Random(count);
  return {
    ...{ name: "made", split: "train", count, height: SIZE, width: SIZE },
    images: Uint8Array.from({ length: count * BYTES }, () => random.uint32()),
    labels: labelled ? Int32Array.from({ length: count }, (_, i) => i) : undefined,
    classes: Array.from({ length: count }, (_, i) => `${i}`),
  };
}

const UNLABELLED = made(13, false), LABELLED = made(5, true);
const STL10: BatchImages = { pairs: UNLABELLED, labelled: LABELLED, count: 13 };
const LINEAR: BatchImages = { pairs: null, labelled: LABELLED, count: 13 };

/** A batch's tensors as numbers. */
async function numbersOf(images: BatchImages, epoch: number, step: number, more = {}) {
  await using source = new MemoryBatches(images, { ...OPTIONS, ...more });
  const prepared = await source.prepare({ epoch, step });
  return scope(() => {
    const { pairs, labeled } = prepared.toBatch();
    return {
      pairs: pairs?.views.toNumbers() ?? null,
      labels: pairs?.labels?.toNumbers() ?? null,
      labelled: labeled ? { views: labeled.views.toNumbers(), labels: labeled.labels.toNumbers() } : null,
    };
  });
}

Deno.test("batches: beside unlabelled images stand labelled ones, whose numbers are theirs modulo how many there are", async () => {
  const before = counters();
  for (const epoch of [0, 1]) {
    const seen: number[] = [];
    for (const step of [0, 1, 2]) {
      const { pairs, labels, labelled } = await numbersOf(STL10, epoch, step);
      const picked = [...epochOrder(13, 5, epoch).slice(4 * step, 4 * step + 4)];
      assert.deepEqual([pairs!.length, labels], [8 * BYTES, null]);
      assert.deepEqual(labelled!.labels, picked.map((number) => number % 5));
      seen.push(...labelled!.labels);
    }
    assert.equal(new Set(seen).size, 5, "all of them");
  }
  assert.deepEqual(counters(), before);
});

Deno.test("batches: a labelled image has one view, drawn apart from the pairs'", async () => {
  const { labelled } = await numbersOf(STL10, 2, 1);
  const expected = scope(() => {
    const parameters = drawViews(OPTIONS.views, equalSizes(4, SIZE, SIZE), {
      ...{ seed: 5, epoch: 2, step: 1 },
      first: 4,
    });
    const images = borrowTypedArray(LABELLED.images, [5, 3, SIZE, SIZE]);
    const rows = fromTypedArray(Int32Array.from(labelled!.labels));
    return makeFirstViews(images, parameters, SIZE, rows).toNumbers();
  });
  assert.deepEqual(labelled!.views, expected);
});

Deno.test("batches: linear evaluation has the same labelled views and nothing else", async () => {
  for (const step of [0, 2]) {
    const { labelled } = await numbersOf(STL10, 0, step), linear = await numbersOf(LINEAR, 0, step);
    assert.deepEqual(linear, { pairs: null, labels: null, labelled });
  }
});

Deno.test("batches: two processes share the batch that one would have", async () => {
  const whole = await numbersOf(STL10, 0, 1);
  const parts = await Promise.all(
    [0, 1].map((rank) => numbersOf(STL10, 0, 1, { batchSize: 2, rank, processes: 2 })),
  );
  const { labelled } = whole, joined = parts.map((part) => part.labelled!);
  assert.deepEqual(joined.flatMap(({ labels }) => labels), labelled!.labels);
  assert.deepEqual(joined.flatMap(({ views }) => views), labelled!.views);
  const view = BYTES * 2, halves = (part: { pairs: number[] | null }) => part.pairs!.slice(0, view);
  assert.deepEqual(parts.flatMap(halves), whole.pairs!.slice(0, 2 * view));
});

Deno.test("batches in memory: the same whether the images lie on the device or each batch is sent", async () => {
  const pairs = made(9, true), labelled = made(5, true), images = { pairs, labelled, count: 9 };
  await using there = new MemoryBatches(images, OPTIONS);
  await using sent = new MemoryBatches(images, OPTIONS, 0);
  // Room for the labelled images alone.
  await using mixed = new MemoryBatches(images, OPTIONS, labelled.images.byteLength);
  assert.deepEqual([there, sent, mixed].map(({ notes }) => notes.length), [0, 2, 1]);
  assert.match(
    sent.notes[0],
    /^The images stay in the machine's memory and each batch is sent: they need 0\.0 GiB/,
  );
  for (let step = 0; step < 3; step++) {
    scope(() => {
      const [expected, ...others] = [there, sent, mixed].map((source) =>
        source.prepare({ epoch: 1, step }).toBatch()
      );
      for (const batch of others) {
        const own = pairsOf(batch), wanted = pairsOf(expected);
        assertClose(own.views, wanted.views);
        assertClose(own.manipulation, wanted.manipulation);
        assert.deepEqual(own.labels!.toNumbers(), wanted.labels!.toNumbers());
        assertClose(batch.labeled!.views, expected.labeled!.views);
        assert.deepEqual(batch.labeled!.labels.toNumbers(), expected.labeled!.labels.toNumbers());
      }
    });
  }
});
