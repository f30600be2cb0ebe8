import assert from "node:assert/strict";
import { blurKernelSize, gaussianBlur } from "../../src/augment/blur.ts";
import { scope } from "../../src/torch/scope.ts";
import { full, tensor } from "../device.ts";
import { assertClose, assertNoLeak, goldenFile, img } from "../golden.ts";
import { batchOf, type Image, imagesOf } from "./pixels.ts";

Deno.test("golden: blur is the reference's", () => {
  scope(() => {
    const golden = goldenFile("blur_solarize"), images = golden.get("images")!;
    const actual = gaussianBlur(images, golden.get("sigma")!, blurKernelSize(images.shape[2]));
    assertClose(actual, golden.get("blurred")!, { rtol: 1e-5, atol: 1e-6, what: "blurred" });
  });
});

Deno.test("blur: the kernel is a tenth of the view, and odd", () => {
  const sizes = [8, 10, 20, 32, 48, 64, 96, 224];
  assert.deepEqual(sizes.map(blurKernelSize), [1, 1, 3, 3, 5, 7, 9, 23]);
});

/** Blurs one pixel after the other with the two-dimensional kernel. */
function blurred({ height, width, planes }: Image, sigma: number, taps: number): Image {
  const radius = (taps - 1) / 2;
  const weight = (d: number) => Math.exp(-0.5 * (d / sigma) ** 2);
  let sum = 0;
  for (let d = -radius; d <= radius; d++) sum += weight(d);
  const mirror = (i: number, size: number) => size - 1 - Math.abs(size - 1 - Math.abs(i));
  const blur = (plane: Float64Array) =>
    plane.map((_, i) => {
      const y = Math.floor(i / width), x = i % width;
      let value = 0;
      for (let dy = -radius; dy <= radius; dy++) {
        for (let dx = -radius; dx <= radius; dx++) {
          const pixel = plane[mirror(y + dy, height) * width + mirror(x + dx, width)];
          value += weight(dx) * weight(dy) * pixel / sum ** 2;
        }
      }
      return value;
    });
  return { height, width, planes: [blur(planes[0]), blur(planes[1]), blur(planes[2])] };
}

for (const size of [32, 96, 224]) {
  Deno.test(`blur: the batch agrees with one pixel at a time, at ${size} x ${size}`, () => {
    const sigmas = size === 224 ? [1.7] : [0.1 * size / 224, 2 * size / 224], taps = blurKernelSize(size);
    scope(() => {
      const images = img(`blur ${size}`, [sigmas.length, 3, size, size]);
      const expected = batchOf(imagesOf(images).map((image, i) => blurred(image, sigmas[i], taps)));
      assertClose(gaussianBlur(images, tensor(sigmas, { dtype: "float64" }), taps), expected, { atol: 1e-7 });
      assertClose(gaussianBlur(images.float(), tensor(sigmas), taps), expected, { atol: 2e-6 });
    });
  });
}

Deno.test("blur: an even image stays as it is, and no temporary is left behind", () => {
  scope(() => {
    const images = full([2, 3, 12, 9], 0.3), sigma = tensor([0.1, 5]);
    assertClose(gaussianBlur(images, sigma, 5), images, { atol: 1e-6 });
    assertNoLeak(() => void gaussianBlur(images, sigma, 5));
  });
});
