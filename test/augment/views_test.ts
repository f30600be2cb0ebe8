import assert from "node:assert/strict";
import { blurKernelSize, gaussianBlur } from "../../src/augment/blur.ts";
import { relativeManipulation, viewMatrices } from "../../src/augment/efference.ts";
import {
  COLOR_STEPS,
  drawViews,
  equalSizes,
  type ViewParameters,
  type ViewSettings,
} from "../../src/augment/parameters.ts";
import { solarize } from "../../src/augment/solarize.ts";
import {
  makeFirstViews,
  makeFirstViewsOfCrops,
  makeViews,
  makeViewsOfCrops,
} from "../../src/augment/views.ts";
import { autocast } from "../../src/torch/autograd.ts";
import { cat } from "../../src/torch/functional.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { DEVICE, fromTypedArray, tensor, zeros } from "../device.ts";
import { assertClose, assertNoLeak } from "../golden.ts";
import { batchOf, CHANGES, cropped, flipped, grayed, type Image, imagesOf, madeUpBytes } from "./pixels.ts";

const SETTINGS: ViewSettings = {
  size: 16,
  jitterStrength: 1,
  pColorJitter: 0.8,
  pGrayscale: 0.2,
  useGaussianBlur: false,
  useSolarization: false,
};
const KEY = { seed: 5, epoch: 2, step: 11, first: 40 };
/** Float32 against float64, through up to nine steps. */
const FLOAT32 = { atol: 2e-5 };

/** Flip and colours of one view, a pixel at a time. */
function finished(view: Image, parameters: ViewParameters, i: number): Image {
  if (parameters.flipped[i]) view = flipped(view);
  if (parameters.jittered[i]) {
    for (const step of parameters.order.subarray(4 * i, 4 * i + 4)) {
      view = CHANGES[COLOR_STEPS[step]](view, parameters.factors[4 * i + step]);
    }
  }
  return parameters.gray[i] ? grayed(view) : view;
}

/** What `makeViews` must give, without blur and solarisation. */
function expectedViews(images: readonly Image[], parameters: ViewParameters, size: number): Tensor {
  return batchOf(Array.from(parameters.gray, (_, i) => {
    const crop = [...parameters.crops.subarray(4 * i, 4 * i + 4)];
    return finished(cropped(images[i % images.length], crop, size), parameters, i);
  }));
}

Deno.test("views: every view is cropped, flipped and coloured as its parameters say", () => {
  scope(() => {
    const images = madeUpBytes("views", [60, 3, 20, 24]);
    const parameters = drawViews(SETTINGS, equalSizes(60, 20, 24), KEY);
    const { views, manipulation, solarized } = makeViews(images, parameters, 16);
    assert.deepEqual([views.shape, views.dtype, solarized], [[120, 3, 16, 16], "float32", null]);
    assertClose(views, expectedViews(imagesOf(images), parameters, 16), FLOAT32);
    const matrices = viewMatrices(parameters.crops, parameters.flipped, parameters.sizes);
    const expected = relativeManipulation(matrices.subarray(0, 360), matrices.subarray(360));
    assertClose(manipulation, fromTypedArray(expected, [60, 2, 3]));
    assert(views.amin().item() >= 0 && views.amax().item() <= 1);
  });
});

Deno.test("views: a batch larger than the cache is the same as its parts", () => {
  scope(() => {
    const images = madeUpBytes("many", [12, 3, 96, 96]);
    const settings = { ...SETTINGS, size: 96, useGaussianBlur: true, useSolarization: true };
    const all = drawViews(settings, equalSizes(12, 96, 96), KEY);
    const { views, solarized } = makeViews(images, all, 96);
    const part = drawViews(settings, equalSizes(2, 96, 96), KEY);
    const few = makeViews(images.slice(0, 0, 2), part, 96);
    const rows = tensor([0, 1, 12, 13], { dtype: "int64" });
    assertClose(few.views, views.indexSelect(0, rows), { atol: 1e-6 });
    assertClose(few.solarized!, solarized!.indexSelect(0, rows));
  });
});

Deno.test("views: a batch can be named by its rows in a data set", () => {
  scope(() => {
    const images = madeUpBytes("data set", [9, 3, 16, 16]), rows = tensor([7, 0, 7], { dtype: "int64" });
    const parameters = drawViews(SETTINGS, equalSizes(3, 16, 16), KEY);
    const batch = makeViews(images.indexSelect(0, rows), parameters, 16);
    assertClose(makeViews(images, parameters, 16, rows).views, batch.views);
  });
});

Deno.test("views: crops that were cut and flipped before are coloured the same way", () => {
  scope(() => {
    const crops = madeUpBytes("crops", [20, 3, 16, 16]);
    const sizes = Int32Array.from({ length: 20 }, (_, i) => 30 + 7 * i);
    const parameters = drawViews(SETTINGS, sizes, KEY);
    const { views, manipulation } = makeViewsOfCrops(crops, parameters);
    const unflipped = { ...parameters, flipped: new Uint8Array(20) };
    assertClose(views, batchOf(imagesOf(crops).map((crop, i) => finished(crop, unflipped, i))), FLOAT32);
    const matrices = viewMatrices(parameters.crops, parameters.flipped, sizes);
    const expected = relativeManipulation(matrices.subarray(0, 60), matrices.subarray(60));
    assertClose(manipulation, fromTypedArray(expected, [10, 2, 3]));
  });
});

Deno.test("views: views a alone are those of the pairs", () => {
  scope(() => {
    const images = madeUpBytes("single", [5, 3, 16, 16]);
    const settings = { ...SETTINGS, useGaussianBlur: true, useSolarization: true };
    const parameters = drawViews(settings, equalSizes(5, 16, 16), KEY);
    assertClose(
      makeFirstViews(images, parameters, 16),
      makeViews(images, parameters, 16).views.slice(0, 0, 5),
    );
    const crops = madeUpBytes("single crops", [10, 3, 16, 16]);
    const pairs = makeViewsOfCrops(crops, parameters).views;
    assertClose(makeFirstViewsOfCrops(crops.slice(0, 0, 5), parameters), pairs.slice(0, 0, 5));
  });
});

Deno.test("views: views are blurred and solarised as their parameters say", () => {
  scope(() => {
    const images = madeUpBytes("blurred", [15, 3, 48, 48]), sizes = equalSizes(15, 48, 48);
    const settings = { ...SETTINGS, size: 48, useGaussianBlur: true, useSolarization: true };
    const parameters = drawViews(settings, sizes, KEY), { sigma, solarized } = parameters;
    const sharp = makeViews(images, { ...parameters, sigma: null, solarized: null }, 48).views;
    const taps = blurKernelSize(48);
    const expected = cat(Array.from(sigma!, (width, i) => {
      let view = sharp.slice(0, i, i + 1);
      if (width > 0) view = gaussianBlur(view, tensor([width]), taps);
      return solarized![i] ? solarize(view) : view;
    }));
    const actual = makeViews(images, parameters, 48);
    // Solarisation may fall on the other side of one half where blur was rounded otherwise: both are next to one half.
    assertClose(actual.views, expected, { atol: 1e-6 });
    assert.deepEqual([actual.solarized!.dtype, actual.solarized!.toNumbers()], ["bool", [...solarized!]]);
  });
});

Deno.test("views: without colour changes a whole crop is the image itself", () => {
  scope(() => {
    const images = madeUpBytes("whole", [2, 3, 16, 16]);
    const settings = { ...SETTINGS, pColorJitter: -1, pGrayscale: -1 };
    const parameters = drawViews(settings, equalSizes(2, 16, 16), KEY);
    const whole = { ...parameters, crops: Int32Array.from({ length: 16 }, (_, i) => i % 4 < 2 ? 0 : 16) };
    whole.flipped.fill(0);
    const { views, manipulation } = makeViews(images, whole, 16);
    assertClose(views, cat([images, images]).double().div(255), { atol: 1e-6 });
    assertClose(manipulation, tensor([[[1, 0, 0], [0, 1, 0]], [[1, 0, 0], [0, 1, 0]]]));
  });
});

Deno.test("views: autocast does not coarsen the pixels", () => {
  scope(() => {
    const images = madeUpBytes("autocast", [4, 3, 16, 16]);
    const parameters = drawViews(SETTINGS, equalSizes(4, 16, 16), KEY);
    const inside = autocast(DEVICE, "bfloat16", () => makeViews(images, parameters, 16).views);
    assertClose(inside, makeViews(images, parameters, 16).views);
  });
});

Deno.test("views: nothing but the result is left in memory", () => {
  scope(() => {
    const images = madeUpBytes("leak", [8, 3, 16, 16]), sizes = equalSizes(8, 16, 16);
    const settings = { ...SETTINGS, useGaussianBlur: true, useSolarization: true };
    let step = 0;
    assertNoLeak(() => {
      const parameters = drawViews(settings, sizes, { ...KEY, step: step++ });
      makeViews(images, parameters, 16);
      makeViewsOfCrops(cat([images, images]), parameters);
    });
  });
});

Deno.test("views: what does not fit together is refused", () => {
  scope(() => {
    const images = madeUpBytes("wrong", [4, 3, 16, 16]);
    const parameters = drawViews(SETTINGS, equalSizes(4, 16, 16), KEY);
    assert.throws(
      () => makeViews(images.float(), parameters, 16),
      /TypeError: Cannot make views: images must be uint8\[count, 3, height, width\], got Tensor\(float32/,
    );
    assert.throws(
      () => makeViews(images.slice(0, 0, 3), parameters, 16),
      /RangeError: Cannot make views: the parameters are for 4 images, got 3/,
    );
    assert.throws(
      () => makeViewsOfCrops(images, parameters),
      /RangeError: Cannot make views: the parameters are for 8 images, got 4/,
    );
    assert.throws(
      () => makeViewsOfCrops(zeros([8, 3, 16, 12], { dtype: "uint8" }), parameters),
      /RangeError: Cannot make views: crops must be square, they are 16 x 12/,
    );
    assert.throws(
      () => makeViews(images, { ...parameters, sizes: equalSizes(4, 16, 17) }, 16),
      /RangeError: Cannot make views: the parameters are for images of 16 x 17, got 16 x 16/,
    );
    const crops = parameters.crops.slice();
    crops.set([3, 2, 14, 5], 4 * 6);
    assert.throws(
      () => makeViews(images, { ...parameters, crops }, 16),
      /RangeError: Cannot crop view 6: 14 x 5 from \(3, 2\) is not inside an image of 16 x 16/,
    );
  });
});
