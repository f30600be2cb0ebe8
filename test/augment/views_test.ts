import assert from "node:assert/strict";
import { blurKernelSize, gaussianBlur } from "../../src/augment/blur.ts";
import { relativeManipulation, viewMatrices } from "../../src/augment/efference.ts";
import { drawViews, equalSizes, type ViewParameters } from "../../src/augment/parameters.ts";
import type { PixelTransform, Recipe } from "../../src/augment/transform.ts";
import { solarize } from "../../src/augment/solarize.ts";
import {
  makeFirstViews,
  makeFirstViewsOfCrops,
  makeViews,
  makeViewsOfCrops,
} from "../../src/augment/views.ts";
import { autocast } from "../../src/torch/autograd.ts";
import { cat, stack } from "../../src/torch/functional.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { DEVICE, fromTypedArray, tensor, zeros } from "../device.ts";
import { assertClose, assertNoLeak } from "../golden.ts";
import { allDrawn, COLOR_CHANGES, type Drawn } from "./drawn.ts";
import { BLURRED, COLORLESS, testRecipes } from "./recipes.ts";
import { batchOf, CHANGES, cropped, flipped, grayed, type Image, imagesOf, madeUpBytes } from "./pixels.ts";

const RECIPES = testRecipes(16);
const KEY = { seed: 5, epoch: 2, step: 11, first: 40 };
/** Float32 against float64, through up to nine steps. */
const FLOAT32 = { atol: 2e-5 };

/** Colors of one view, a pixel at a time. */
function finished(view: Image, { isJittered, order, factors, isGray }: Drawn): Image {
  for (const change of isJittered ? order : []) view = CHANGES[COLOR_CHANGES[change]](view, factors[change]);
  return isGray ? grayed(view) : view;
}

/** What `makeViews` must give, without blur and solarization. */
function expectedViews(images: readonly Image[], parameters: ViewParameters, size: number): Tensor {
  return batchOf(
    allDrawn(parameters).map((drawn, i) => {
      const { top, left, height, width } = drawn.crop;
      const view = cropped(images[i % images.length], [top, left, height, width], size);
      return finished(drawn.isFlipped ? flipped(view) : view, drawn);
    }),
  );
}

/** The manipulations of N images. */
function expectedManipulation({ table, sizes, columns, images }: ViewParameters): Tensor {
  const matrices = viewMatrices(table, sizes, columns), half = matrices.length / 2;
  const expected = relativeManipulation(matrices.subarray(0, half), matrices.subarray(half));
  return fromTypedArray(expected, [images, 2, 3]);
}

Deno.test("views: every view is cropped, flipped and colored as its parameters say", () => {
  scope(() => {
    const images = madeUpBytes("views", [60, 3, 20, 24]);
    const parameters = drawViews(RECIPES, equalSizes(60, 20, 24), KEY);
    const { views, manipulation, solarized } = makeViews(images, parameters, 16);
    assert.deepEqual([views.shape, views.dtype, solarized], [[120, 3, 16, 16], "float32", null]);
    assertClose(views, expectedViews(imagesOf(images), parameters, 16), FLOAT32);
    assertClose(manipulation, expectedManipulation(parameters));
    assert(views.amin().item() >= 0 && views.amax().item() <= 1);
  });
});

Deno.test("views: a batch larger than the cache is the same as its parts", () => {
  scope(() => {
    const images = madeUpBytes("many", [12, 3, 96, 96]);
    const recipes = testRecipes(96, BLURRED);
    const all = drawViews(recipes, equalSizes(12, 96, 96), KEY);
    const { views, solarized } = makeViews(images, all, 96);
    const part = drawViews(recipes, equalSizes(2, 96, 96), KEY);
    const few = makeViews(images.slice(0, 0, 2), part, 96);
    const rows = tensor([0, 1, 12, 13], { dtype: "int64" });
    assertClose(few.views, views.indexSelect(0, rows), { atol: 1e-6 });
    assertClose(few.solarized!, solarized!.indexSelect(0, rows));
  });
});

Deno.test("views: a batch can be named by its rows in a data set", () => {
  scope(() => {
    const images = madeUpBytes("data set", [9, 3, 16, 16]), rows = tensor([7, 0, 7], { dtype: "int64" });
    const parameters = drawViews(RECIPES, equalSizes(3, 16, 16), KEY);
    const batch = makeViews(images.indexSelect(0, rows), parameters, 16);
    assertClose(makeViews(images, parameters, 16, rows).views, batch.views);
  });
});

Deno.test("views: crops that were cut and flipped before are colored the same way", () => {
  scope(() => {
    const crops = madeUpBytes("crops", [20, 3, 16, 16]);
    const sizes = Int32Array.from({ length: 20 }, (_, i) => 30 + 7 * i);
    const parameters = drawViews(RECIPES, sizes, KEY);
    const { views, manipulation } = makeViewsOfCrops(crops, parameters);
    const drawn = allDrawn(parameters);
    assertClose(views, batchOf(imagesOf(crops).map((crop, i) => finished(crop, drawn[i]))), FLOAT32);
    assertClose(manipulation, expectedManipulation(parameters));
  });
});

Deno.test("views: views a alone are those of the pairs", () => {
  scope(() => {
    const images = madeUpBytes("single", [5, 3, 16, 16]);
    const recipes = testRecipes(16, BLURRED);
    const parameters = drawViews(recipes, equalSizes(5, 16, 16), KEY);
    assertClose(
      makeFirstViews(images, parameters, 16),
      makeViews(images, parameters, 16).views.slice(0, 0, 5),
    );
    const crops = madeUpBytes("single crops", [10, 3, 16, 16]);
    const pairs = makeViewsOfCrops(crops, parameters).views;
    assertClose(makeFirstViewsOfCrops(crops.slice(0, 0, 5), parameters), pairs.slice(0, 0, 5));
  });
});

Deno.test("views: views are blurred and solarized as their parameters say", () => {
  scope(() => {
    const images = madeUpBytes("blurred", [15, 3, 48, 48]), sizes = equalSizes(15, 48, 48);
    const recipes = testRecipes(48, BLURRED);
    const parameters = drawViews(recipes, sizes, KEY), drawn = allDrawn(parameters);
    const sharp = makeViews(images, drawViews(testRecipes(48), sizes, KEY), 48).views;
    const taps = blurKernelSize(48);
    const expected = cat(drawn.map(({ isBlurred, sigma, isSolarized }, i) => {
      let view = sharp.slice(0, i, i + 1);
      if (isBlurred) view = gaussianBlur(view, tensor([sigma]), taps);
      return isSolarized ? solarize(view) : view;
    }));
    const actual = makeViews(images, parameters, 48);
    // Solarization may fall on the other side of one half where blur was rounded otherwise: both are next to one half.
    assertClose(actual.views, expected, { atol: 1e-6 });
    const solarized = drawn.map(({ isSolarized }) => Number(isSolarized));
    assert.deepEqual([actual.solarized!.dtype, actual.solarized!.toNumbers()], ["bool", solarized]);
  });
});

Deno.test("views: without color changes a whole crop is the image itself", () => {
  scope(() => {
    const images = madeUpBytes("whole", [2, 3, 16, 16]);
    const recipes = testRecipes(16, COLORLESS);
    const parameters = drawViews(recipes, equalSizes(2, 16, 16), KEY);
    for (let view = 0; view < 4; view++) parameters.row(view).set([0, 0, 16, 16, 0]);
    const { views, manipulation } = makeViews(images, parameters, 16);
    assertClose(views, cat([images, images]).double().div(255), { atol: 1e-6 });
    assertClose(manipulation, tensor([[[1, 0, 0], [0, 1, 0]], [[1, 0, 0], [0, 1, 0]]]));
  });
});

Deno.test("views: autocast does not coarsen the pixels", () => {
  scope(() => {
    const images = madeUpBytes("autocast", [4, 3, 16, 16]);
    const parameters = drawViews(RECIPES, equalSizes(4, 16, 16), KEY);
    const inside = autocast(DEVICE, "bfloat16", () => makeViews(images, parameters, 16).views);
    assertClose(inside, makeViews(images, parameters, 16).views);
  });
});

Deno.test("views: nothing but the result is left in memory", () => {
  scope(() => {
    const images = madeUpBytes("leak", [8, 3, 16, 16]), sizes = equalSizes(8, 16, 16);
    const recipes = testRecipes(16, BLURRED);
    let step = 0;
    assertNoLeak(() => {
      const parameters = drawViews(recipes, sizes, { ...KEY, step: step++ });
      makeViews(images, parameters, 16);
      makeViewsOfCrops(cat([images, images]), parameters);
    });
  });
});

Deno.test("views: what does not fit together is refused", () => {
  scope(() => {
    const images = madeUpBytes("wrong", [4, 3, 16, 16]);
    const parameters = drawViews(RECIPES, equalSizes(4, 16, 16), KEY);
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
      () => makeViews(images, drawViews(RECIPES, equalSizes(4, 16, 17), KEY), 16),
      /RangeError: Cannot make views: the parameters are for images of 16 x 17, got 16 x 16/,
    );
    parameters.row(6).set([3, 2, 14, 5]);
    assert.throws(
      () => makeViews(images, parameters, 16),
      /RangeError: Cannot crop view 6: 14 x 5 from \(3, 2\) is not inside an image of 16 x 16/,
    );
  });
});

/** A user's transform: some views become brighter, by a number that the transform keeps to itself. */
function brighter(amount: number, more: Partial<PixelTransform> = {}): PixelTransform {
  return {
    ...{ name: "brighter", probability: 0.5, columns: 1, excludesPair: true },
    draw: (random, numbers) => void (numbers[0] = random.uniform()),
    apply: (views, numbers) => views.add(numbers.reshape(-1, 1, 1, 1), amount),
    ...more,
  };
}

Deno.test("views: a recipe takes transforms of one's own, which may differ between the views", () => {
  scope(() => {
    const images = madeUpBytes("own", [12, 3, 16, 16]), sizes = equalSizes(12, 16, 16);
    const inPlace = brighter(1, {
      group: ([drawn]) => drawn < 0.5 ? 1 : 2,
      apply: (views, _, group) => views.add_(group),
    });
    const plain = testRecipes(16), parameters = drawViews(plain, sizes, KEY);
    const own = drawViews(
      { a: [...plain.a, brighter(1), inPlace], b: [...plain.b, brighter(-1), inPlace] },
      sizes,
      KEY,
    );
    const [first, both, second] = own.slots.slice(4).sort((a, b) =>
      a.transform.columns - b.transform.columns
    );
    assert.equal(own.slots.length, 7);
    const expected = makeViews(images, parameters, 16).views.unbind(0).map((view, i) => {
      for (const slot of [first, second, both]) {
        const drawn = own.numbers(slot, i)[0], group = own.group(slot, i);
        if (group === 0) continue;
        view = view.add(slot.transform.group === undefined ? (i < 12 ? drawn : -drawn) : group);
      }
      return view;
    });
    const made = makeViews(images, own, 16);
    assertClose(made.views, stack(expected), { atol: 1e-6 });
    const changed = Array.from(
      { length: 24 },
      (_, i) => Number(own.slots.slice(4).some((s) => own.group(s, i) > 0)),
    );
    assert.deepEqual(made.solarized!.toNumbers(), changed);
    assertNoLeak(() => void makeViews(images, own, 16));
  });
});

Deno.test("views: view a and view b are made by their own recipes", () => {
  scope(() => {
    const images = madeUpBytes("pair", [10, 3, 16, 16]), sizes = equalSizes(10, 16, 16);
    const { a, b } = testRecipes(16, { gaussian_blur_prob: [1, 0.1], solarization_prob: [0, 0.2] });
    const make = (a: Recipe, b: Recipe) =>
      makeViews(images, drawViews({ a, b }, sizes, KEY), 16).views.chunk(2);
    const [left, right] = make(a, b);
    assertClose(left, make(a, a)[0], { atol: 1e-6 });
    assertClose(right, make(b, b)[1], { atol: 1e-6 });
  });
});
