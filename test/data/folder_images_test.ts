import assert from "node:assert/strict";
import { cutsOf, Decoder } from "../../src/data/decode.ts";
import { FolderImages } from "../../src/data/folder_images.ts";
import { listImageNet } from "../../src/data/image_folder.ts";
import { TurboJpeg } from "../../src/data/turbojpeg.ts";
import { madeJpeg, writeImageNet } from "../made_data.ts";

const SIZE = 28, BYTES = 3 * SIZE * SIZE;

/** The test images of a folder. */
function open(folder: string, workers = 2): FolderImages {
  return new FolderImages(listImageNet(folder).test, {
    name: "imagenet",
    size: SIZE,
    workers,
    notes: ["a note"],
  });
}

/** All images and labels, and how many came at a time. */
async function readAll(images: FolderImages, batchSize: number) {
  const pixels: Uint8Array[] = [], labels: number[] = [], counts: number[] = [];
  for await (const batch of images.batches(batchSize)) {
    const [count, ...rest] = batch.shape;
    assert.deepEqual([rest, batch.pixels.length, batch.labels?.length], [
      [3, SIZE, SIZE],
      count * BYTES,
      count,
    ]);
    for (let i = 0; i < count; i++) pixels.push(batch.pixels.slice(i * BYTES, (i + 1) * BYTES));
    labels.push(...batch.labels!);
    counts.push(count);
  }
  return { pixels, labels, counts };
}

Deno.test("folder images: the middle of every image comes in order, however many at a time", async () => {
  using folder = await writeImageNet({ train: 20, test: 11 });
  await using images = open(folder.path);
  assert.deepEqual([images.count, images.classes], [11, ["n01440764", "n01443537"]]);
  const { pixels, labels, counts } = await readAll(images, 4);
  assert.deepEqual([labels, counts], [[0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1], [4, 4, 3]]);
  assert.deepEqual((await readAll(images, 100)).pixels, pixels);
  const decoder = new Decoder(new TurboJpeg()), { paths, root } = listImageNet(folder.path).test;
  for (const [i, path] of paths.entries()) {
    const expected = new Uint8Array(BYTES);
    const plan = (height: number, width: number) => cutsOf({ kind: "middle" }, 0, height, width, SIZE);
    await decoder.cut(Deno.readFileSync(`${root}/${path}`), plan, SIZE, [expected]);
    assert.deepEqual(pixels[i], expected, path);
  }
  assert.deepEqual(images.notes, ["a note"]);
});

Deno.test("folder images: files that cannot be decoded are left out and named", async () => {
  using folder = await writeImageNet({ train: 20, test: 11 });
  await using whole = open(folder.path);
  const before = await readAll(whole, 4), { paths, root } = listImageNet(folder.path).test;
  for (const broken of [0, 5, 10]) Deno.writeTextFileSync(`${root}/${paths[broken]}`, "This is no image.\n");
  const kept = [1, 2, 3, 4, 6, 7, 8, 9];
  await using images = open(folder.path);
  const { pixels, labels, counts } = await readAll(images, 4);
  assert.deepEqual(counts, [3, 3, 2]);
  assert.deepEqual(labels, kept.map((i) => before.labels[i]));
  assert.deepEqual(pixels, kept.map((i) => before.pixels[i]));
  const notes = images.notes.slice(1).sort();
  assert.equal(notes.length, 3);
  notes.forEach((note, i) => {
    assert(note.startsWith(`Cannot decode ${root}/${paths[[0, 5, 10][i]]}: `), note);
    assert.match(note, /it is not a JPEG, PNG, WebP, TIFF or GIF; it is left out \([123] so far\)$/);
  });
});

Deno.test("folder images: unusual images are decoded like others, oversized ones are left out", async () => {
  using folder = await writeImageNet({ train: 20, test: 6 });
  const { paths, root } = listImageNet(folder.path).test;
  for (const [i, [width, height]] of [[1, 1], [20_000, 2], [2, 20_000]].entries()) {
    Deno.writeFileSync(`${root}/${paths[i]}`, await madeJpeg(width, height, 3));
  }
  const huge = await madeJpeg(16, 16, 4),
    frame = huge.findIndex((byte, i) => byte === 0xff && huge[i + 1] === 0xc0);
  new DataView(huge.buffer, huge.byteOffset).setUint32(frame + 5, 20_000 << 16 | 20_000);
  Deno.writeFileSync(`${root}/${paths[3]}`, huge);
  await using images = open(folder.path);
  assert.deepEqual((await readAll(images, 6)).counts, [5]);
  assert.match(
    images.notes[1],
    /: it has 400 megapixels to decode, the limit is 89; it is left out \(1 so far\)$/,
  );
});
