import assert from "node:assert/strict";
import type { PlainImages } from "../../src/data/dataset.ts";
import { extractFeatures } from "../../src/evaluation/features.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";

/** Images of one pixel whose three values are their number; every third cannot be decoded. */
function images(count: number, options: { damaged?: boolean; labels?: boolean } = {}): PlainImages {
  const { damaged = false, labels = true } = options;
  return {
    name: "made",
    count,
    classes: labels ? ["even", "odd"] : [],
    notes: [],
    async *batches(size) {
      for (let start = 0; start < count; start += size) {
        const all = Array.from({ length: Math.min(size, count - start) }, (_, i) => start + i);
        const numbers = all.filter((number) => !damaged || number % 3 !== 2);
        yield {
          pixels: Uint8Array.from(numbers.flatMap((number) => [number, number, number])),
          shape: [numbers.length, 3, 1, 1],
          labels: labels ? Int32Array.from(numbers, (number) => number % 2) : undefined,
        };
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function firstColumn(features: Tensor): number[] {
  return scope(() => features.select(1, 0).toNumbers()).map(Math.round);
}

const OPTIONS = { device: "cpu", batchSize: 4 };

Deno.test("features: of every image, in order, whatever the batch", async () => {
  const before = counters();
  for (const batchSize of [1, 4, 100]) {
    const done: number[] = [];
    const { features, labels } = await extractFeatures(images(10), (batch) => batch.flatten(1).mul(255), {
      device: "cpu",
      batchSize,
      onProgress: (count) => done.push(count),
    });
    using _features = features, _labels = labels;
    assert.deepEqual(features.shape, [10, 3]);
    assert.deepEqual(firstColumn(features), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.deepEqual(labels.toNumbers(), [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
    assert.equal(done.at(-1), 10);
  }
  assert.deepEqual(counters(), before);
});

Deno.test("features: files that cannot be decoded are left out", async () => {
  const { features, labels } = await extractFeatures(
    images(10, { damaged: true }),
    (batch) => batch.flatten(1).mul(255),
    { device: "cpu", batchSize: 1 },
  );
  using _features = features, _labels = labels;
  assert.deepEqual(firstColumn(features), [0, 1, 3, 4, 6, 7, 9]);
  assert.deepEqual(labels.toNumbers(), [0, 1, 1, 0, 0, 1, 1]);
});

Deno.test("features: images without labels are refused", async () => {
  await assert.rejects(
    extractFeatures(images(3, { labels: false }), (batch) => batch.flatten(1), OPTIONS),
    { name: "TypeError", message: "Cannot probe made: its images have no labels" },
  );
});
