import assert from "node:assert/strict";
import fc from "fast-check";
import { type Crop, drawCrop, randomResizedCrop, resizedCrop } from "../../src/augment/crop.ts";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { Random } from "../../src/base/random.ts";
import { cat } from "../../src/torch/functional.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { fromTypedArray, tensor, zeros } from "../device.ts";
import { assertClose, assertNoLeak, goldenFile } from "../golden.ts";
import { batchOf, cropped, flipped, imagesOf, madeUpBytes } from "./pixels.ts";

/**
 * Pillow rounds to whole grey levels twice, after the rows and after the columns: half a level each, and its weights
 * are whole numbers over 2^22.
 */
const PILLOW = 1.01 / 255;

function unflipped(crops: Tensor): Tensor {
  return cat([crops.float(), zeros([crops.shape[0], 1])], 1);
}

Deno.test("golden: resized crops are Pillow's but for its rounding", () => {
  scope(() => {
    const golden = goldenFile("image_ops");
    const actual = resizedCrop(golden.get("images")!, unflipped(golden.get("crop_params")!), 32);
    assertClose(actual, golden.get("resized_crop")!, { atol: PILLOW, what: "resized crop" });
  });
});

Deno.test("crop: crops that shrink are antialiased as Pillow does it", () => {
  scope(() => {
    const path = new URL("../fixtures/augment/pillow.safetensors", import.meta.url).pathname;
    using file = readSafetensors(path);
    const [images, crops, resized] = ["images", "crops", "resized"].map((name) => {
      const stored = file.tensors.get(name)!;
      return fromTypedArray(stored.read(), stored.shape, stored.dtype);
    });
    const actual = resizedCrop(images, unflipped(crops), 24);
    assertClose(actual, resized.double().div(255), { atol: PILLOW });
  });
});

const CASES: { name: string; height: number; width: number; size: number; crops: number[][] }[] = [
  {
    name: "STL-10",
    height: 96,
    width: 96,
    size: 96,
    crops: [[0, 0, 96, 96], [10, 30, 28, 31], [95, 0, 1, 96], [40, 41, 55, 55]],
  },
  {
    name: "ImageNet",
    height: 375,
    width: 500,
    size: 224,
    crops: [[0, 0, 375, 500], [17, 250, 358, 240], [300, 3, 75, 99]],
  },
  { name: "one pixel", height: 1, width: 1, size: 5, crops: [[0, 0, 1, 1]] },
  { name: "a line", height: 1, width: 40, size: 8, crops: [[0, 3, 1, 2], [0, 0, 1, 40]] },
];

for (const { name, height, width, size, crops } of CASES) {
  Deno.test(`crop: the batch agrees with one line of pixels at a time, at the size of ${name}`, () => {
    scope(() => {
      const images = madeUpBytes(name, [crops.length, 3, height, width]);
      const boxes = tensor(crops.map((crop, i) => [...crop, i % 2]));
      const expected = imagesOf(images).map((image, i) => {
        const result = cropped(image, crops[i], size);
        return i % 2 === 1 ? flipped(result) : result;
      });
      // Positions are float32: of 500 pixels the last is known to 3e-5, and so are weights.
      assertClose(resizedCrop(images, boxes, size), batchOf(expected), { atol: 5e-5 });
    });
  });
}

Deno.test("crop: results can go to given memory and none is left behind", () => {
  scope(() => {
    const images = madeUpBytes("out", [2, 3, 9, 7]), boxes = tensor([[1, 2, 5, 4, 1], [0, 0, 9, 7, 0]]);
    const out = zeros([3, 3, 8, 8]);
    const part = out.slice(0, 1);
    assert.equal(resizedCrop(images, boxes, 8, part), part);
    assertClose(part, resizedCrop(images, boxes, 8));
    assert.equal(out.select(0, 0).amax().item(), 0);
    assertNoLeak(() => void resizedCrop(images, boxes, 8, part));
    assertNoLeak(() => void resizedCrop(images, boxes, 8));
  });
});

/** Draws a crop of an image by torchvision's numbers. */
function draw(random: Random, height: number, width: number): Crop {
  return drawCrop(randomResizedCrop(), random, { top: 0, left: 0, height, width });
}

Deno.test("crop: every crop lies inside its image, and the same key draws the same", () => {
  const side = fc.integer({ min: 1, max: 20000 });
  fc.assert(fc.property(side, side, fc.nat(), (height, width, seed) => {
    const crop = draw(new Random(seed), height, width);
    assert(crop.top >= 0 && crop.left >= 0 && crop.height >= 1 && crop.width >= 1);
    assert(crop.top + crop.height <= height && crop.left + crop.width <= width);
    assert.deepEqual(draw(new Random(seed), height, width), crop);
  }));
});

Deno.test("crop: areas and ratios are distributed as torchvision draws them", () => {
  const random = new Random(1), count = 4000, side = 400;
  let area = 0, logRatio = 0, top = 0, rejected = 0;
  for (let i = 0; i < count; i++) {
    const crop = draw(random, side, side);
    area += crop.height * crop.width / side ** 2 / count;
    logRatio += Math.log(crop.width / crop.height) / count;
    if (crop.height < side) top += crop.top / (side - crop.height) / count;
    const ratio = crop.width / crop.height, share = crop.height * crop.width / side ** 2;
    if (ratio < 0.74 || ratio > 1.35 || share < 0.079 || share > 1) rejected++;
  }
  assert.equal(rejected, 0);
  // torchvision 0.28 over 200,000 draws: mean area 0.4777; standard errors here are about 0.004.
  assert(Math.abs(area - 0.4777) < 0.02, `mean area ${area}`);
  assert(Math.abs(logRatio) < 0.015, `mean log ratio ${logRatio}`);
  assert(Math.abs(top - 0.5) < 0.03, `mean place ${top}`);
});

Deno.test("crop: images too long for any crop get the middle at the nearest ratio", () => {
  assert.deepEqual(draw(new Random(0), 30, 3000), { top: 0, left: 1480, height: 30, width: 40 });
  assert.deepEqual(draw(new Random(0), 3000, 30), { top: 1480, left: 0, height: 40, width: 30 });
});
