import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { partsOf } from "../../src/augment/geometry.ts";
import { drawGeometry, drawViews, equalSizes } from "../../src/augment/parameters.ts";
import type { PixelTransform } from "../../src/augment/transform.ts";
import { allDrawn, type Drawn } from "./drawn.ts";
import { BLURRED, COLORLESS, testRecipes } from "./recipes.ts";

const RECIPES = testRecipes(32, { jitter_strength: 0.5, ...BLURRED });
const KEY = { seed: 3, epoch: 1, step: 7, first: 0 };

Deno.test("drawViews draws what the first release drew", () => {
  const parameters = drawViews(RECIPES, equalSizes(64, 50, 40), { ...KEY, first: 5 });
  const numbers = allDrawn(parameters).flatMap((view) => [
    ...[view.crop.top, view.crop.left, view.crop.height, view.crop.width],
    ...[Number(view.isFlipped), Number(view.isJittered), ...view.order, ...view.factors],
    ...[Number(view.isGray), view.isBlurred ? view.sigma : 0, Number(view.isSolarized)],
  ]);
  const hash = createHash("sha256").update(new Uint8Array(Float32Array.from(numbers).buffer)).digest("hex");
  assert.equal(hash, "59153b4f64b4dadd4794cf45722eeca7bc945134a8261259c9608c8ce395a0f7");
});

Deno.test("drawViews: the same key draws the same, any other key something else", () => {
  const whole = fc.nat(1000);
  fc.assert(
    fc.property(fc.tuple(whole, whole, whole, whole), fc.integer({ min: 0, max: 3 }), (numbers, changed) => {
      const draw = ([seed, epoch, step, first]: readonly number[]) =>
        drawViews(RECIPES, equalSizes(4, 32, 32), { seed, epoch, step, first }).table;
      assert.deepEqual(draw(numbers), draw(numbers));
      assert.notDeepEqual(draw(numbers), draw(numbers.map((n, i) => i === changed ? n + 1 : n)));
    }),
    { numRuns: 50 },
  );
});

Deno.test("drawViews: a view's draws do not depend on the rest of the batch", () => {
  const small = drawViews(RECIPES, equalSizes(3, 50, 40), KEY);
  const large = drawViews(RECIPES, Int32Array.from([50, 40, 500, 20, 50, 40, 9, 9, 1, 1]), KEY);
  for (const image of [0, 2]) {
    assert.deepEqual(small.row(image), large.row(image), `view a of image ${image}`);
    assert.deepEqual(small.row(3 + image), large.row(5 + image), `view b of image ${image}`);
  }
  assert.notDeepEqual(small.row(0), small.row(3));
});

Deno.test("drawGeometry draws the boxes of drawViews", () => {
  const parameters = drawViews(RECIPES, equalSizes(3, 50, 40), KEY);
  const { geometry } = partsOf(RECIPES.a);
  for (const [view, at] of [[0, 2], [1, 5]] as const) {
    assert.deepEqual(drawGeometry(geometry, KEY, 2, view, 50, 40), parameters.box(at));
  }
});

Deno.test("ViewParameters: a batch may begin at a later place, and views a or one image may stand alone", () => {
  const all = drawViews(RECIPES, equalSizes(3, 50, 40), KEY);
  const later = drawViews(RECIPES, equalSizes(1, 50, 40), { ...KEY, first: 2 }), first = all.firstViews();
  assert.deepEqual([later.row(0), later.row(1)], [all.row(2), all.row(5)]);
  assert.deepEqual(all.ofImage(2).table, later.table);
  assert.equal(first.views, 3);
  for (const image of [0, 1, 2]) assert.deepEqual(first.row(image), all.row(image));
});

Deno.test("drawViews: shares and ranges are as specified", () => {
  const count = 4000, views = allDrawn(drawViews(RECIPES, equalSizes(count, 32, 32), KEY));
  const share = (has: (view: Drawn) => boolean) => views.filter(has).length / (2 * count);
  const near = (actual: number, expected: number, what: string) =>
    assert(Math.abs(actual - expected) < 0.02, `${what}: ${actual}, wanted ${expected}`);
  near(share((view) => view.isFlipped), 0.5, "flipped");
  near(share((view) => view.isJittered), 0.8, "jittered");
  near(share((view) => view.isGray), 0.2, "gray");
  near(share((view) => view.isBlurred), 0.5, "blurred");
  near(share((view) => view.isSolarized), 0.2, "solarized");
  const blurs = views.map(({ sigma }) => sigma);
  near(Math.min(...blurs), 0.1 * 32 / 224, "smallest blur");
  near(Math.max(...blurs), 2 * 32 / 224, "largest blur");
  for (let change = 0; change < 4; change++) {
    const drawn = views.map(({ factors }) => factors[change]);
    const [low, high] = change === 3 ? [-0.1, 0.1] : [0.6, 1.4];
    near(Math.min(...drawn), low, `lowest factor ${change}`);
    near(Math.max(...drawn), high, `highest factor ${change}`);
    near(drawn.reduce((sum, x) => sum + x) / drawn.length, (low + high) / 2, `mean factor ${change}`);
    near(share(({ order }) => order[0] === change), 0.25, `${change} comes first`);
  }
  assert.equal(new Set(views.map(({ order }) => order.join(""))).size, 24);
});

Deno.test("drawViews: a strength above 1 does not make factors negative", () => {
  const recipes = testRecipes(32, { jitter_strength: 2 });
  const brightness = allDrawn(drawViews(recipes, equalSizes(500, 32, 32), KEY)).map(({ factors }) =>
    factors[0]
  );
  assert(Math.min(...brightness) >= 0 && Math.max(...brightness) > 2.4);
});

Deno.test("drawViews: switching a transform off leaves the other draws alone", () => {
  const sizes = equalSizes(50, 32, 32), on = allDrawn(drawViews(RECIPES, sizes, KEY));
  const off = drawViews(testRecipes(32, { jitter_strength: 0.5, ...COLORLESS }), sizes, KEY);
  assert.equal(off.excluding.length, 0);
  const never = { isJittered: false, isGray: false, isBlurred: false, isSolarized: false };
  assert.deepEqual(allDrawn(off), on.map((view) => ({ ...view, ...never })));
  const grays = (p_grayscale: number) =>
    allDrawn(drawViews(testRecipes(32, { p_grayscale }), sizes, KEY)).filter(({ isGray }) => isGray).length;
  assert.deepEqual([grays(0), grays(1)], [0, 100]);
});

Deno.test("drawViews: the recipes of view a and view b may differ", () => {
  const byol = testRecipes(32, { gaussian_blur_prob: [1, 0.1], solarization_prob: [0, 0.2] });
  const count = 2000,
    parameters = drawViews(byol, equalSizes(count, 32, 32), KEY),
    views = allDrawn(parameters);
  assert.equal(parameters.slots.length, 4);
  assert.deepEqual(parameters.excluding.map(({ transform }) => transform.name), ["solarized"]);
  const [a, b] = [views.slice(0, count), views.slice(count)];
  const share = (views: readonly Drawn[], has: (view: Drawn) => boolean) => views.filter(has).length / count;
  assert.deepEqual([share(a, (view) => view.isBlurred), share(a, (view) => view.isSolarized)], [1, 0]);
  assert(Math.abs(share(b, (view) => view.isBlurred) - 0.1) < 0.03);
  assert(Math.abs(share(b, (view) => view.isSolarized) - 0.2) < 0.03);
  const alike = allDrawn(drawViews(testRecipes(32), equalSizes(count, 32, 32), KEY));
  assert.deepEqual(views.map(({ factors }) => factors), alike.map(({ factors }) => factors));
});

/** A transform that draws one number and does nothing. */
function drawing(name: string): PixelTransform {
  return {
    ...{ name, probability: 1, columns: 1 },
    draw: (random, numbers) => void (numbers[0] = random.uniform()),
    apply: (views) => views,
  };
}

Deno.test("drawViews keeps the order of both recipes, and what one of them lacks", () => {
  const [x, y, z] = ["x", "y", "z"].map(drawing), sizes = equalSizes(2, 8, 8);
  const names = (a: PixelTransform[], b: PixelTransform[]) => {
    const { slots } = drawViews({ a, b }, sizes, KEY);
    const of = (view: 0 | 1) => slots.flatMap(({ recipes }) => recipes[view]?.name ?? []).join("");
    return [of(0), of(1), slots.length];
  };
  assert.deepEqual(names([x, y, z], [x, y, z]), ["xyz", "xyz", 3]);
  assert.deepEqual(names([x, z], [x, y, z]), ["xz", "xyz", 3]);
  assert.deepEqual(names([x, y], [y, x]), ["xy", "yx", 3]);
  assert.deepEqual(names([], [y]), ["", "y", 1]);
  const parameters = drawViews({ a: [x], b: [] }, sizes, KEY);
  assert.deepEqual([0, 1, 2, 3].map((view) => parameters.group(parameters.slots[0], view)), [1, 1, 0, 0]);
});

Deno.test("drawViews: two processes draw what one draws for the whole batch", () => {
  const whole = drawViews(RECIPES, equalSizes(4, 50, 40), KEY);
  for (const first of [0, 2]) {
    const part = drawViews(RECIPES, equalSizes(2, 50, 40), { ...KEY, first });
    for (const [view, image] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      assert.deepEqual(part.row(2 * view + image), whole.row(4 * view + first + image));
    }
  }
});

Deno.test("drawViews refuses more images than streams, and recipes out of order", () => {
  const draw = (first: number) => drawViews(RECIPES, equalSizes(1, 8, 8), { ...KEY, first });
  draw(2 ** 31 - 2);
  assert.throws(() => draw(2 ** 31 - 1), /RangeError: Cannot draw views: .* got 2147483648/);
  const a = RECIPES.a.toReversed();
  assert.throws(
    () => drawViews({ a, b: RECIPES.b }, equalSizes(1, 8, 8), KEY),
    /RangeError: Cannot use a recipe with flip after a pixel transform/,
  );
});
