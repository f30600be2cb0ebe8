import assert from "node:assert/strict";
import { CropLoader } from "../../src/data/crop_loader.ts";
import type { DecodePool } from "../../src/data/decode_pool.ts";

/** Loads batches of files, of which the first ones cannot be decoded, by a pool that only says so. */
function loaderOf(count: number, broken: number, processes = 1) {
  const paths = Array.from({ length: count }, (_, i) => `${i}.JPEG`), notes: string[] = [];
  const pool: Pick<DecodePool, "run"> = {
    run: (job) =>
      Promise.resolve({
        failures: job.places.filter((_, i) => Number(job.paths[i].replace(/^.*\/|\..*$/g, "")) < broken)
          .map((place) => ({ place, reason: "it is broken" })),
        gray16: null,
      }),
  };
  const loader = new CropLoader({ root: "/data", paths, classes: [] }, 1, pool, notes, processes);
  /** Loads ten files at a time, `from` to `to`, and says how many were whole in the end. */
  const load = async (epoch: number, from: number, to: number) => {
    let whole = 0;
    for (let start = from; start < to; start += 10) {
      const crops = await loader.load({
        picked: Uint32Array.from({ length: 10 }, (_, i) => start + i),
        epoch,
        cutting: { kind: "middle" },
        redraw: () => count - 1,
      });
      whole += crops.picked.filter((file) => file >= broken).length;
      crops.release();
    }
    return whole;
  };
  return { notes, load };
}

Deno.test("crop loader: ten files may fail, of many a thousandth, and each is named and counted", async () => {
  for (const [count, allowed] of [[100, 10], [10_000, 10], [20_000, 20], [25_600, 25]]) {
    const { notes, load } = loaderOf(count, allowed);
    for (const epoch of [0, 1]) {
      assert.equal(await load(epoch, 0, count), count, "others have taken their places");
    }
    assert.deepEqual(
      notes,
      Array.from(
        { length: allowed },
        (_, i) =>
          `Cannot decode /data/${i}.JPEG: it is broken; another image takes its place (${i + 1} so far)`,
      ),
    );
    await assert.rejects(loaderOf(count, allowed + 1).load(0, 0, count), (error: Error) => {
      const [sentence, ...list] = error.message.split("\n");
      assert.equal(sentence, `Cannot decode ${allowed + 1} of the ${count} images in /data:`);
      assert.deepEqual(
        list,
        Array.from({ length: allowed + 1 }, (_, i) => `  /data/${i}.JPEG: it is broken`),
      );
      return true;
    });
  }
});

Deno.test("crop loader: of several processes each has its share of an epoch, another one in every epoch", async () => {
  const { notes, load } = loaderOf(40_000, 60, 2);
  // This process meets 20 of the broken files in each epoch, a thousandth of its 20,000.
  for (const epoch of [0, 1, 2]) {
    assert.equal(await load(epoch, 20 * epoch, 20 * epoch + 20), 20);
    assert.equal(await load(epoch, 20_000, 20_010), 10);
  }
  assert.equal(notes.length, 60);
  await assert.rejects(load(2, 0, 10), /^Error: Cannot decode 60 of the 40000 images in \/data:/);
});

Deno.test("crop loader: it says once that 16-bit gray images are there, and how they are read", async () => {
  const notes: string[] = [], paths = ["a.png", "b.png", "c.png"];
  const pool: Pick<DecodePool, "run"> = {
    run: ({ places }) => Promise.resolve({ failures: [], gray16: places.at(-1)! }),
  };
  const loader = new CropLoader({ root: "/data", paths, classes: [] }, 1, pool, notes);
  const request = {
    picked: Uint32Array.of(0, 2),
    epoch: 0,
    cutting: { kind: "middle" },
    redraw: null,
  } as const;
  for (let i = 0; i < 2; i++) (await loader.load(request)).release();
  assert.deepEqual(notes, [
    "/data/c.png is gray with 16 bits a pixel: of such images the upper 8 bits are used, so values from 0 to 65535 " +
    "become 0 to 255",
  ]);
});
