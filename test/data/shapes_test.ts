import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { loadShapes, SHAPES_COUNT } from "../../src/data/shapes.ts";

/** Mean of the pixels of each class of a small set. */
function classMeans(): number[] {
  const { images, labels, classes } = loadShapes("train", { count: 2000 });
  const sums = new Float64Array(classes.length);
  for (let i = 0; i < images.length; i++) sums[labels![Math.floor(i / 3072)]] += images[i];
  return Array.from(sums, (sum) => sum / (images.length / classes.length));
}

Deno.test("shapes: every machine draws the same bytes", () => {
  const digest = (split: "train" | "test") =>
    createHash("sha256").update(loadShapes(split, { count: 200 }).images).digest("hex").slice(0, 16);
  assert.equal(digest("train"), "4718217d251eec78");
  assert.equal(digest("test"), "ed020566b96d707c");
});

Deno.test("shapes: the whole data set has the stated form and balanced classes", () => {
  for (const split of ["train", "test"] as const) {
    const data = loadShapes(split);
    assert.equal(data.count, SHAPES_COUNT[split]);
    assert.equal(data.images.length, data.count * 3 * data.height * data.width);
    const tally = new Array(data.classes.length).fill(0);
    for (const label of data.labels!) tally[label]++;
    assert.deepEqual(tally, new Array(10).fill(data.count / 10));
  }
});

Deno.test("shapes: a smaller count gives the first images of the whole", () => {
  const few = loadShapes("train", { count: 3 }), more = loadShapes("train", { count: 20 });
  assert.deepEqual(few.images, more.images.subarray(0, few.images.length));
});

Deno.test("shapes: brightness says nothing about the class", () => {
  const means = classMeans(), overall = means.reduce((a, b) => a + b) / means.length;
  // The mean of one image scatters by about 47, that of a class's 200 images by about 3.3.
  for (const mean of means) assert.ok(Math.abs(mean - overall) < 14, `${means}`);
});

Deno.test("shapes: a shape stands out from what is behind it", () => {
  const { images, count } = loadShapes("test", { count: 100 });
  for (let i = 0; i < count; i++) {
    const green = images.subarray(i * 3072 + 1024, i * 3072 + 2048);
    assert.ok(Math.max(...green) - Math.min(...green) >= 40, `image ${i}`);
  }
});

Deno.test("shapes: a count that is not there is refused", () => {
  for (const count of [0, 1.5, 2001, NaN]) {
    assert.throws(() => loadShapes("test", { count }), /RangeError: Cannot draw .* 1 to 2000/);
  }
});
