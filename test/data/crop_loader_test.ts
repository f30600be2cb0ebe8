import assert from "node:assert/strict";
import { CropLoader } from "../../src/data/crop_loader.ts";
import type { DecodePool } from "../../src/data/decode_pool.ts";

/** Files of which the first ones cannot be decoded, loaded in batches of ten by a pool that only says so. */
async function loadAll(count: number, broken: number): Promise<{ notes: string[]; loaded: number }> {
  const paths = Array.from({ length: count }, (_, i) => `${i}.JPEG`), notes: string[] = [];
  const pool: Pick<DecodePool, "run"> = {
    run: (job) =>
      Promise.resolve(
        job.places.filter((_, i) => Number(job.paths[i].replace(/^.*\/|\..*$/g, "")) < broken)
          .map((place) => ({ place, reason: "it is broken" })),
      ),
  };
  const loader = new CropLoader({ root: "/data", paths, classes: [] }, 1, pool, notes);
  let loaded = 0;
  for (let start = 0; start < count; start += 10) {
    const crops = await loader.load({
      picked: Uint32Array.from({ length: 10 }, (_, i) => start + i),
      cutting: { kind: "middle" },
      redraw: () => count - 1,
    });
    loaded += crops.picked.filter((file) => file >= broken).length;
    crops.release();
  }
  return { notes, loaded };
}

Deno.test("crop loader: ten files may fail, of many a thousandth, and each is named and counted", async () => {
  for (const [count, allowed] of [[100, 10], [10_000, 10], [20_000, 20], [25_600, 25]]) {
    const { notes, loaded } = await loadAll(count, allowed);
    assert.equal(loaded, count, "others have taken their places");
    assert.deepEqual(
      notes,
      Array.from(
        { length: allowed },
        (_, i) =>
          `Cannot decode /data/${i}.JPEG: it is broken; another image takes its place (${i + 1} so far)`,
      ),
    );
    await assert.rejects(loadAll(count, allowed + 1), (error: Error) => {
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
