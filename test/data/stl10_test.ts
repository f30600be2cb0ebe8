import assert from "node:assert/strict";
import { loadStl10 } from "../../src/data/stl10.ts";

const SIZE = 96, PLANE = SIZE * SIZE;

/** A pixel of the images that the tests make. */
const pixel = (image: number, channel: number, row: number, column: number) =>
  (31 * image + 7 * channel + 3 * row + 11 * column + row * column) % 256;

/** Images in official form: planes column after column. */
function officialImages(count: number): Uint8Array {
  const bytes = new Uint8Array(count * 3 * PLANE);
  let at = 0;
  for (let image = 0; image < count; image++) {
    for (let channel = 0; channel < 3; channel++) {
      for (let column = 0; column < SIZE; column++) {
        for (let row = 0; row < SIZE; row++) bytes[at++] = pixel(image, channel, row, column);
      }
    }
  }
  return bytes;
}

async function withFiles(
  files: Record<string, Uint8Array>,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(`${folder}/stl10_binary`);
    for (const [name, bytes] of Object.entries(files)) {
      Deno.writeFileSync(`${folder}/stl10_binary/${name}`, bytes);
    }
    await use(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("stl10: planes become row-major, in more images than are read at a time", async () => {
  await withFiles({ "unlabeled_X.bin": officialImages(155) }, async (folder) => {
    const data = await loadStl10(folder, "unlabeled");
    assert.equal(data.count, 155);
    assert.equal(data.split, "train");
    assert.equal(data.labels, undefined);
    let at = 0;
    for (let image = 0; image < 155; image++) {
      for (let channel = 0; channel < 3; channel++) {
        for (let row = 0; row < SIZE; row++) {
          for (let column = 0; column < SIZE; column++) {
            if (data.images[at++] !== pixel(image, channel, row, column)) {
              assert.fail(`image ${image}, channel ${channel}, row ${row}, column ${column}`);
            }
          }
        }
      }
    }
    assert.equal(at, data.images.length);
  });
});

Deno.test("stl10: labels count from 0, and both folders are accepted", async () => {
  const files = { "test_X.bin": officialImages(3), "test_y.bin": Uint8Array.of(1, 10, 5) };
  await withFiles(files, async (folder) => {
    for (const dataDir of [folder, `${folder}/stl10_binary`]) {
      const data = await loadStl10(dataDir, "test");
      assert.deepEqual([...data.labels!], [0, 9, 4]);
      assert.equal(data.split, "test");
      assert.equal(data.classes[9], "truck");
    }
  });
});

Deno.test("stl10: what is wrong with the files is said in one sentence", async () => {
  const images = officialImages(2);
  const cases: readonly [Uint8Array, Uint8Array, RegExp][] = [
    [
      images.subarray(1),
      Uint8Array.of(1, 2),
      /train_X\.bin: a record is 27648 bytes, the file has 55295: 1 whole/,
    ],
    [images, Uint8Array.of(1, 2, 3), /train_y\.bin: there are 2 images, the file has 3 labels/],
    [images, Uint8Array.of(1, 0), /labels are 1 to 10, record 1 has 0/],
    [images, Uint8Array.of(11, 1), /labels are 1 to 10, record 0 has 11/],
    [images, new Uint8Array(0), /train_y\.bin: a record is 1 bytes?, it is empty/],
  ];
  for (const [X, y, message] of cases) {
    await withFiles({ "train_X.bin": X, "train_y.bin": y }, async (folder) => {
      await assert.rejects(() => loadStl10(folder, "train"), { name: "RangeError", message });
    });
  }
  await withFiles({ "train_X.bin": images }, async (folder) => {
    await assert.rejects(() => loadStl10(folder, "train"), /missing: .*train_y\.bin not in .*stl10_binary/);
  });
});
