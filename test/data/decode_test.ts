import assert from "node:assert/strict";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { randomResizedCrop } from "../../src/augment/crop.ts";
import { randomHorizontalFlip } from "../../src/augment/flip.ts";
import { type Cut, type CutPlan, cutsOf, Decoder } from "../../src/data/decode.ts";
import { TurboJpeg } from "../../src/data/turbojpeg.ts";
import { Random } from "../../src/base/random.ts";
import { madeJpeg } from "../made_data.ts";

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

const COMMON = [
  ...["420.jpg", "422.jpg", "444.jpg", "progressive.jpg", "restarts.jpg", "gray.jpg", "turned.jpg"],
  ...["cmyk.jpg", "cmyk_without_adobe.jpg", "ycck.jpg"],
];
const OTHERS = [
  ...["rgba.png", "palette.png", "gray.png", "lossless.webp", "palette.gif", "rgb.tif", "cmyk.tif"],
  ...["gray16.png", "gray16.tif"],
];

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
    assert.deepEqual(await decoder.cut(bytes, plan, size, out), { height: 62, width: 83, isGray16: false });
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

/** A cut of the whole width and height, scaled to a square. */
function whole(size: number, exact: boolean): CutPlan {
  return (height, width) => [{ top: 0, left: 0, height, width, scaled: [size, size], exact, flipped: false }];
}

const BROKEN = {
  "cut.jpg": /premature end of JPEG image$/,
  "headless.jpg": /premature end of JPEG image$/,
  "text.jpg": /it is not a JPEG, PNG, WebP, TIFF or GIF$/,
  "empty.jpg": /^it is empty$/,
};

for (const [name, reason] of Object.entries(BROKEN)) {
  Deno.test(`decode: ${name} is refused with a reason, and the next file is decoded`, async () => {
    for (const decoder of [turbo, general]) {
      const error = await square(decoder, file(name), 0, 0, 62).then(
        () => null,
        (error: Error) => error.message,
      );
      assert.match(error ?? "it was decoded", reason);
      assert.deepEqual(
        await square(decoder, file("422.jpg"), 5, 6, 50),
        squareOf(pillow("422.jpg"), 5, 6, 50),
      );
    }
  });
}

Deno.test("decode: whatever bytes are wrong, a file is decoded or refused", async () => {
  const original = file("progressive.jpg"), random = new Random(7);
  let refused = 0;
  for (let round = 0; round < 150; round++) {
    const bytes = round % 3 === 0 ? original.slice(0, random.below(original.length)) : original.slice();
    if (round % 3 > 0) { for (let i = 0; i < 4; i++) bytes[random.below(bytes.length)] = random.uint32(); }
    const out = [new Uint8Array(3 * 16 * 16)];
    await turbo.cut(bytes, whole(16, false), 16, out).catch((error: Error) => {
      assert.match(error.message, /^[^\n]+$/);
      refused++;
    });
  }
  assert(refused > 40 && refused < 150, `${refused} of 150 were refused`);
  assert.deepEqual(await square(turbo, original, 0, 0, 62), squareOf(pillow("progressive.jpg"), 0, 0, 62));
});

Deno.test("decode: a large image is reduced where it is decoded, which changes it by little", async () => {
  const bytes = new Uint8Array(await madeJpeg(1001, 777, 1)), size = 90, length = 3 * size * size;
  const [reduced, exact] = [new Uint8Array(length), new Uint8Array(length)];
  const plan = (exact: boolean): CutPlan => () => [
    { top: 16, left: 208, height: 752, width: 728, scaled: [size, size], exact, flipped: true },
  ];
  const { height, width } = await turbo.cut(bytes, plan(false), size, [reduced]);
  assert.deepEqual([height, width], [777, 1001]);
  await turbo.cut(bytes, plan(true), size, [exact]);
  const [largest, mean] = difference(reduced, exact);
  assert(mean > 0 && mean < 1.5 && largest < 12, `${mean} levels off, at worst ${largest}`);
});

Deno.test("decode: very long and very large images take no memory for what is not looked at", async () => {
  for (const [width, height] of [[20_000, 3], [3, 20_000]]) {
    const bytes = new Uint8Array(await madeJpeg(width, height, 2)), out = [new Uint8Array(3 * 56 * 56)];
    const middle: CutPlan = (height, width) => cutsOf({ kind: "middle" }, 0, height, width, 56);
    const facts = await turbo.cut(bytes, middle, 56, out);
    assert.deepEqual([facts.height, facts.width], [height, width]);
    const [cut] = middle(height, width), { scaled } = cut;
    assert.deepEqual(scaled.toSorted((a, b) => a - b), [64, 64 * 24 / 3 + (20_000 - 24) % 2]);
    assert.equal(2 * cut.left + cut.width, width);
    const views: CutPlan = (height, width) =>
      cutsOf(
        {
          kind: "views",
          geometry: [[randomResizedCrop(), randomHorizontalFlip()]],
          key: { seed: 0, epoch: 0, step: 0, first: 0 },
        },
        0,
        height,
        width,
        56,
      );
    await turbo.cut(bytes, views, 56, out);
  }
  // The same file, but its header says 60,000 x 60,000 pixels.
  const bytes = file("420.jpg"), frame = bytes.findIndex((byte, i) => byte === 0xff && bytes[i + 1] === 0xc0);
  new DataView(bytes.buffer).setUint32(frame + 5, 60_000 << 16 | 60_000);
  for (const decoder of [turbo, general]) {
    await assert.rejects(
      decoder.cut(bytes, whole(224, true), 224, [new Uint8Array(3 * 224 * 224)]),
      /^Error: it has 3600 megapixels to decode, the limit is 89$/,
    );
  }
});

Deno.test("decode: an image is whole where it is small, and scaled where it is large", async () => {
  const { shape, pixels } = pillow("420.jpg"), [, height, width] = shape;
  assert.deepEqual(await turbo.whole(file("420.jpg"), 83), { pixels, height, width });
  const small = await turbo.whole(file("420.jpg"), 40);
  assert.deepEqual([small.height, small.width, small.pixels.length], [30, 40, 3 * 30 * 40]);
});

Deno.test("decode: gray images of 16 bits are known, values of other types are refused", async () => {
  const facts = (name: string) => turbo.cut(file(name), whole(8, true), 8, [new Uint8Array(3 * 8 * 8)]);
  for (const name of ["gray16.png", "gray16.tif"]) assert((await facts(name)).isGray16);
  for (const name of ["gray.png", "cmyk.tif"]) assert(!(await facts(name)).isGray16);
  const sentence = /^Error: its values are of type float: only integers of 8 and 16 bits are read$/;
  await assert.rejects(facts("float.tif"), sentence);
});

Deno.test("decode: the content tells the format, and all others are refused at once", async () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9000" height="9000"/>';
  const others = [
    svg,
    `<?xml version="1.0"?>${svg}`,
    "%PDF-1.4",
    "BM",
    "P6 1 1 255 abc",
    "RIFF    WAVE",
    "GIF",
  ];
  for (const decoder of [turbo, general]) {
    for (const text of others) {
      const bytes = new TextEncoder().encode(text);
      const sentence = /^Error: it is not a JPEG, PNG, WebP, TIFF or GIF$/;
      await assert.rejects(decoder.cut(bytes, whole(8, true), 8, []), sentence);
    }
  }
  // libvips could read these, if it had not been told to leave them.
  const { default: sharp } = await import("sharp");
  await assert.rejects(sharp(new TextEncoder().encode(svg)).metadata(), /unsupported image format/);
});

/** A progressive JPEG whose second scan, the first of those after the color, is there so many times. */
function withScans(progressive: Bytes, times: number): Bytes {
  const starts = [...progressive.keys()].filter((i) =>
    progressive[i] === 0xff && progressive[i + 1] === 0xda
  );
  const [first, second] = [starts[1], starts[2]], scan = progressive.subarray(first, second);
  const parts = [progressive.subarray(0, first), ...Array(times).fill(scan), progressive.subarray(second)];
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

Deno.test("decode: a JPEG of very many scans is refused, not handed on", async () => {
  const usual = file("progressive.jpg"), out = [new Uint8Array(3 * 8 * 8)];
  await assert.rejects(
    turbo.cut(withScans(usual, 2000), whole(8, true), 8, out),
    /^Error: it has more than 100 scans$/,
  );
});

Deno.test("decode: it takes the pixels that lie in memory from a budget, and returns them", async () => {
  const taken: number[] = [];
  let held = 0;
  const budget = {
    take(amount: number) {
      taken.push(amount);
      held += amount;
      return { [Symbol.dispose]: () => void (held -= amount) };
    },
  };
  const decoder = new Decoder(new TurboJpeg(), budget), all = 62 * 83;
  for (const [name, expected] of [["420.jpg", 400], ["progressive.jpg", all], ["rgba.png", all]] as const) {
    await square(decoder, file(name), 0, 0, 20);
    assert.deepEqual([taken.splice(0), held], [[expected], 0], name);
  }
  await decoder.cut(file("cut.jpg"), whole(8, true), 8, []).catch(() => {});
  assert.equal(held, 0);
});
