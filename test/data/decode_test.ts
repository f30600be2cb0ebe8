import assert from "node:assert/strict";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { type Cut, cutsOf, Decoder } from "../../src/data/decode.ts";
import { TurboJpeg } from "../../src/data/turbojpeg.ts";

const FOLDER = new URL("../fixtures/decode/", import.meta.url);
const turbo = new Decoder(new TurboJpeg()), general = new Decoder(null);

type Bytes = Uint8Array<ArrayBuffer>;

function file(name: string): Bytes {
  return Deno.readFileSync(new URL(name, FOLDER));
}

/** What Pillow made of the files: planes, and their sizes. */
function pillow(name: string): { pixels: Bytes; shape: readonly number[] } {
  using all = readSafetensors(new URL("pillow.safetensors", FOLDER).pathname);
  const stored = all.tensors.get(name)!;
  return { pixels: stored.read() as Bytes, shape: stored.shape };
}

/** The largest and the mean difference. */
function difference(a: Bytes, b: Bytes): [largest: number, mean: number] {
  assert.equal(a.length, b.length);
  const differences = Array.from(a, (value, i) => Math.abs(value - b[i]));
  return [Math.max(...differences), differences.reduce((sum, d) => sum + d, 0) / a.length];
}

/** A square of an image, not scaled. */
async function square(
  decoder: Decoder,
  bytes: Bytes,
  top: number,
  left: number,
  size: number,
): Promise<Bytes> {
  const out = new Uint8Array(3 * size * size);
  const cut: Cut = {
    top,
    left,
    height: size,
    width: size,
    scaled: [size, size],
    exact: true,
    flipped: false,
  };
  await decoder.cut(bytes, () => [cut], size, [out]);
  return out;
}

/** The same square of planes. */
function squareOf(
  { pixels, shape }: ReturnType<typeof pillow>,
  top: number,
  left: number,
  size: number,
): Bytes {
  const [, height, width] = shape;
  return Uint8Array.from({ length: 3 * size * size }, (_, i) => {
    const plane = Math.floor(i / size / size), y = Math.floor(i / size) % size, x = i % size;
    return pixels[(plane * height + top + y) * width + left + x];
  });
}

const COMMON = ["420.jpg", "422.jpg", "444.jpg", "progressive.jpg", "restarts.jpg", "gray.jpg", "turned.jpg"];
const OTHERS = ["rgba.png", "palette.png", "gray.png", "lossless.webp"];

for (const name of COMMON) {
  Deno.test(`decode: ${name} is what Pillow makes of it, to the bit, in every part`, async () => {
    const bytes = file(name), whole = pillow(name), [, height, width] = whole.shape;
    for (const [top, left, size] of [[0, 0, 62], [0, 21, 62], [19, 33, 17], [61, 82, 1], [30, 0, 32]]) {
      assert(top + size <= height && left + size <= width);
      assert.deepEqual(
        await square(turbo, bytes, top, left, size),
        squareOf(whole, top, left, size),
        `${size} pixels from (${top}, ${left})`,
      );
    }
  });
}

for (const name of [...COMMON, ...OTHERS]) {
  Deno.test(`decode: without libjpeg-turbo, ${name} is what Pillow makes of it`, async () => {
    assert.deepEqual(await square(general, file(name), 3, 20, 59), squareOf(pillow(name), 3, 20, 59));
  });
}

Deno.test("decode: files that are no ordinary JPEG are decoded as well", async () => {
  for (const name of OTHERS) {
    assert.deepEqual(await square(turbo, file(name), 0, 0, 62), squareOf(pillow(name), 0, 0, 62), name);
  }
  const [largest, mean] = difference(
    await square(turbo, file("cmyk.jpg"), 0, 0, 62),
    squareOf(pillow("cmyk.jpg"), 0, 0, 62),
  );
  assert(mean < 25 && largest < 255, `CMYK is ${mean} levels off, at worst ${largest}`);
  assert.deepEqual(await square(turbo, file("pixel.jpg"), 0, 0, 1), pillow("pixel.jpg").pixels);
});

Deno.test("decode: crops are scaled as torchvision's RandomResizedCrop does", async () => {
  const crops = [[3, 5, 50, 70], [0, 40, 14, 18], [41, 2, 20, 22], [0, 0, 62, 83]];
  const bytes = file("420.jpg"), expected = pillow("crops").pixels, size = 28, length = 3 * size * size;
  for (const decoder of [turbo, general]) {
    const out = crops.map(() => new Uint8Array(length));
    const plan = () =>
      crops.map(([top, left, height, width]): Cut => ({
        ...{ top, left, height, width },
        scaled: [size, size],
        exact: false,
        flipped: false,
      }));
    assert.deepEqual(await decoder.cut(bytes, plan, size, out), [62, 83]);
    crops.forEach((_, i) => {
      const [largest] = difference(out[i], expected.slice(i * length, (i + 1) * length));
      assert(largest <= 1, `crop ${i} is ${largest} levels off`);
    });
  }
});

Deno.test("decode: the middle is what torchvision's Resize and CenterCrop leave", async () => {
  const out = new Uint8Array(3 * 28 * 28);
  const plan = (height: number, width: number) => cutsOf({ kind: "middle" }, 0, height, width, 28);
  await turbo.cut(file("420.jpg"), plan, 28, [out]);
  const [largest] = difference(out, pillow("middle").pixels);
  assert(largest <= 1, `${largest} levels off`);
});
