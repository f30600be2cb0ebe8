import assert from "node:assert/strict";
import fc from "fast-check";
import { type Blend, blend_, blendWeights, shiftHue_ } from "../../src/augment/color_jitter.ts";
import { grayscale_ } from "../../src/augment/grayscale.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { tensor } from "../device.ts";
import { assertClose, assertNoLeak, goldenFile, img } from "../golden.ts";
import { batchOf, CHANGES, grayed, imagesOf } from "./pixels.ts";

const BLENDS: readonly Blend[] = ["brightness", "contrast", "saturation"];

/**
 * Pillow cuts off the fraction of a grey level, and works with a luma, or a mean of it, that it has rounded: half a level,
 * which counts |1 - factor| times, at most 0.8.
 */
const PILLOW_BLEND = 1.41 / 255;
/** Pillow rounds the luma to the nearest level. */
const PILLOW_LUMA = 0.51 / 255;
/**
 * Pillow keeps the hue in steps of 1/255 of the circle: it cuts off what is between when it converts and from the turn,
 * and adds in steps of 1/256. One step moves a channel of a strong colour by 6 grey levels; so three steps and the
 * rounding of saturation and result make 20. On average little of it is left.
 */
const PILLOW_HUE = 20 / 255, PILLOW_HUE_MEAN = 1.5 / 255;

function change(kind: keyof typeof CHANGES, images: Tensor, factors: readonly number[]): Tensor {
  if (kind === "hue") return shiftHue_(images, tensor(factors));
  return blend_(images, tensor(factors.map((factor) => blendWeights(kind, factor))));
}

for (const kind of BLENDS) {
  Deno.test(`golden: ${kind} is Pillow's but for its rounding`, () => {
    scope(() => {
      const golden = goldenFile("image_ops"), images = golden.get("images")!.float().div(255);
      const actual = change(kind, images, golden.get(`${kind}_factor`)!.toNumbers());
      assertClose(actual, golden.get(kind)!, { atol: PILLOW_BLEND, what: kind });
    });
  });
}

Deno.test("golden: hue is Pillow's but for its coarse circle", () => {
  scope(() => {
    const golden = goldenFile("image_ops"), images = golden.get("images")!.float().div(255);
    const actual = change("hue", images, golden.get("hue_factor")!.toNumbers());
    assertClose(actual, golden.get("hue")!, { atol: PILLOW_HUE, what: "hue" });
    const mean = actual.sub(golden.get("hue")!).abs().mean().item();
    assert(mean < PILLOW_HUE_MEAN, `mean difference ${mean}`);
  });
});

Deno.test("golden: greyscale is Pillow's but for its rounding", () => {
  scope(() => {
    const golden = goldenFile("image_ops");
    const actual = grayscale_(golden.get("images")!.float().div(255));
    assertClose(actual, golden.get("grayscale")!, { atol: PILLOW_LUMA, what: "greyscale" });
  });
});

/** Made-up images, some of whose pixels are grey, black, white or of two equal channels. */
function testImages(count: number, size: number): Tensor {
  const images = img(`colors ${size}`, [count, 3, size, size]);
  const row = (y: number) => images.select(2, y);
  row(0).copy_(row(0).slice(1, 0, 1));
  row(1).zero_();
  row(2).fill_(1);
  row(3).slice(1, 0, 2).copy_(row(3).slice(1, 2));
  row(4).slice(1, 1).copy_(row(4).slice(1, 0, 1));
  return images;
}

for (const size of [32, 96, 224]) {
  Deno.test(`color: each change agrees with one pixel at a time, at ${size} x ${size}`, () => {
    const factors = { brightness: 1.7, contrast: 0.3, saturation: 1.8, hue: -0.17 };
    for (const kind of [...BLENDS, "hue"] as const) {
      scope(() => {
        const images = testImages(3, size), own = [factors[kind], kind === "hue" ? 0.5 : 0, 0.1];
        const expected = batchOf(imagesOf(images).map((image, i) => CHANGES[kind](image, own[i])));
        // float32 as in a run; the hue of a nearly grey pixel is uncertain, but then it matters little.
        assertClose(change(kind, images.float(), own), expected, { atol: 2e-6, what: kind });
      });
    }
    scope(() => {
      const images = testImages(3, size);
      assertClose(grayscale_(images.float()), batchOf(imagesOf(images).map(grayed)), { atol: 1e-6 });
    });
  });
}

Deno.test("color: different blends in one call agree with each alone", () => {
  scope(() => {
    const images = testImages(3, 16).float(), factors = [0.4, 1.9, 0.1];
    const weights = BLENDS.map((kind, i) => blendWeights(kind, factors[i]));
    const together = blend_(images.clone(), tensor(weights));
    for (const [i, kind] of BLENDS.entries()) {
      const alone = change(kind, images.slice(0, i, i + 1).clone(), [factors[i]]);
      assertClose(together.slice(0, i, i + 1), alone, { what: kind });
    }
  });
});

Deno.test("color: turning the hue back restores the colours, and whole turns change nothing", () => {
  const turns = fc.double({ min: -0.5, max: 0.5, noNaN: true });
  fc.assert(
    fc.property(turns, (turn) =>
      scope(() => {
        const images = testImages(1, 8);
        const there = shiftHue_(images.clone(), tensor([turn], { dtype: "float64" }));
        assertClose(shiftHue_(there, tensor([-turn], { dtype: "float64" })), images, { atol: 1e-9 });
        assertClose(shiftHue_(images.clone(), tensor([Math.sign(turn)])), images, { atol: 1e-9 });
      })),
    { numRuns: 30 },
  );
});

Deno.test("color: a third of a turn passes the channels on", () => {
  scope(() => {
    const images = testImages(1, 8), [red, green, blue] = imagesOf(images)[0].planes;
    const turned = shiftHue_(images.clone(), tensor([1 / 3], { dtype: "float64" }));
    assertClose(turned, batchOf([{ height: 8, width: 8, planes: [blue, red, green] }]), { atol: 1e-9 });
  });
});

Deno.test("color: no temporary is left behind", () => {
  scope(() => {
    const images = testImages(2, 8).float();
    assertNoLeak(() => void grayscale_(change("hue", change("contrast", images, [1, 2]), [0.1, 0.2])));
  });
});
