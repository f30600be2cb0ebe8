import assert from "node:assert/strict";
import { type BatchSourceOptions, MemoryBatches } from "../../src/data/batches.ts";
import type { ImageDataset } from "../../src/data/dataset.ts";
import type { Batch } from "../../src/ssl/stec.ts";
import { scope } from "../../src/torch/scope.ts";
import { assertClose } from "../golden.ts";

const OPTIONS: BatchSourceOptions = {
  views: {
    size: 8,
    jitterStrength: 0.5,
    pColorJitter: 0.8,
    pGrayscale: 0.2,
    useGaussianBlur: false,
    useSolarization: true,
  },
  batchSize: 4,
  seed: 3,
  device: "cpu",
  rank: 0,
  processes: 1,
};

function madeImages(count: number): ImageDataset {
  return {
    name: "made-up images",
    split: "train",
    images: Uint8Array.from({ length: count * 3 * 10 * 12 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24),
    labels: Int32Array.from({ length: count }, (_, i) => i % 3),
    classes: ["a", "b", "c"],
    count,
    height: 10,
    width: 12,
  };
}

Deno.test("batches in memory: the same whether the images lie on the device or each batch is sent", async () => {
  const pairs = madeImages(9), labelled = madeImages(5), images = { pairs, labelled, count: 9 };
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
        source.prepare({ epoch: 1, step }).toBatch() as Batch
      );
      for (const batch of others) {
        assertClose(batch.views, expected.views);
        assertClose(batch.manipulation, expected.manipulation);
        assert.deepEqual(batch.labels!.toNumbers(), expected.labels!.toNumbers());
        assertClose(batch.labelled!.views, expected.labelled!.views);
        assert.deepEqual(batch.labelled!.labels.toNumbers(), expected.labelled!.labels.toNumbers());
      }
    });
  }
});
