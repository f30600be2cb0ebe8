import assert from "node:assert/strict";
import fc from "fast-check";
import {
  drawGeometry,
  drawViews,
  equalSizes,
  firstViews,
  HUE,
  type ViewParameters,
  type ViewSettings,
} from "../../src/augment/parameters.ts";

const SETTINGS: ViewSettings = {
  size: 32,
  jitterStrength: 0.5,
  pColorJitter: 0.8,
  pGrayscale: 0.2,
  useGaussianBlur: true,
  useSolarization: true,
};
const KEY = { seed: 3, epoch: 1, step: 7, first: 0 };

/** Everything that is drawn for one view. */
function viewOf(parameters: ViewParameters, i: number): unknown {
  const { crops, flipped, jittered, order, factors, gray, sigma, solarized } = parameters;
  return [crops, order, factors].map((four) => [...four.subarray(4 * i, 4 * i + 4)])
    .concat([[flipped[i], jittered[i], gray[i], sigma?.[i] ?? -1, solarized?.[i] ?? -1]]);
}

Deno.test("parameters: the same key draws the same, any other key something else", () => {
  const whole = fc.nat(1000);
  fc.assert(
    fc.property(fc.tuple(whole, whole, whole, whole), fc.integer({ min: 0, max: 3 }), (numbers, changed) => {
      const draw = ([seed, epoch, step, first]: readonly number[]) =>
        drawViews(SETTINGS, equalSizes(4, 32, 32), { seed, epoch, step, first });
      assert.deepEqual(draw(numbers), draw(numbers));
      assert.notDeepEqual(draw(numbers), draw(numbers.map((n, i) => i === changed ? n + 1 : n)));
    }),
    { numRuns: 50 },
  );
});

Deno.test("parameters: a view's draws do not depend on the rest of the batch", () => {
  const small = drawViews(SETTINGS, equalSizes(3, 50, 40), KEY);
  const large = drawViews(SETTINGS, Int32Array.from([50, 40, 500, 20, 50, 40, 9, 9, 1, 1]), KEY);
  for (const image of [0, 2]) {
    assert.deepEqual(viewOf(small, image), viewOf(large, image), `view a of image ${image}`);
    assert.deepEqual(viewOf(small, 3 + image), viewOf(large, 5 + image), `view b of image ${image}`);
  }
  assert.notDeepEqual(viewOf(small, 0), viewOf(small, 3));
  for (const [view, at] of [[0, 2], [1, 5]] as const) {
    const [top, left, height, width] = small.crops.subarray(4 * at, 4 * at + 4);
    const flipped = small.flipped[at] === 1;
    assert.deepEqual(drawGeometry(KEY, 2, view, 50, 40), { top, left, height, width, flipped });
  }
});

Deno.test("parameters: a batch may begin at a later place, and views a may stand alone", () => {
  const all = drawViews(SETTINGS, equalSizes(3, 50, 40), KEY);
  const later = drawViews(SETTINGS, equalSizes(1, 50, 40), { ...KEY, first: 2 }), first = firstViews(all);
  assert.deepEqual([viewOf(later, 0), viewOf(later, 1)], [viewOf(all, 2), viewOf(all, 5)]);
  assert.equal(first.gray.length, 3);
  for (const image of [0, 1, 2]) assert.deepEqual(viewOf(first, image), viewOf(all, image));
});

Deno.test("parameters: shares and ranges are as specified", () => {
  const count = 4000, parameters = drawViews(SETTINGS, equalSizes(count, 32, 32), KEY);
  const share = (values: ArrayLike<number>) => Array.from(values).filter((x) => x > 0).length / (2 * count);
  const { flipped, jittered, gray, sigma, solarized, factors, order } = parameters;
  const near = (actual: number, expected: number, what: string) =>
    assert(Math.abs(actual - expected) < 0.02, `${what}: ${actual}, wanted ${expected}`);
  near(share(flipped), 0.5, "flipped");
  near(share(jittered), 0.8, "jittered");
  near(share(gray), 0.2, "grey");
  near(share(sigma!), 0.5, "blurred");
  near(share(solarized!), 0.2, "solarised");
  const blurs = sigma!.filter((x) => x > 0);
  near(Math.min(...blurs), 0.1 * 32 / 224, "smallest blur");
  near(Math.max(...blurs), 2 * 32 / 224, "largest blur");
  for (let step = 0; step < 4; step++) {
    const drawn = Array.from(gray, (_, i) => factors[4 * i + step]);
    const [low, high] = step === HUE ? [-0.1, 0.1] : [0.6, 1.4];
    near(Math.min(...drawn), low, `lowest factor ${step}`);
    near(Math.max(...drawn), high, `highest factor ${step}`);
    near(drawn.reduce((sum, x) => sum + x) / drawn.length, (low + high) / 2, `mean factor ${step}`);
    near(share(Array.from(gray, (_, i) => order[4 * i] === step ? 1 : 0)), 0.25, `${step} comes first`);
  }
  const orders = new Set(Array.from(gray, (_, i) => order.subarray(4 * i, 4 * i + 4).join("")));
  assert.equal(orders.size, 24);
});

Deno.test("parameters: a strength above 1 does not make factors negative", () => {
  const { factors } = drawViews({ ...SETTINGS, jitterStrength: 2 }, equalSizes(500, 32, 32), KEY);
  const brightness = factors.filter((_, i) => i % 4 === 0);
  assert(Math.min(...brightness) >= 0 && Math.max(...brightness) > 2.4);
});

Deno.test("parameters: switching a step off leaves the other draws alone", () => {
  const sizes = equalSizes(50, 32, 32), on = drawViews(SETTINGS, sizes, KEY);
  const off = drawViews(
    { ...SETTINGS, pColorJitter: -1, pGrayscale: -1, useGaussianBlur: false, useSolarization: false },
    sizes,
    KEY,
  );
  assert(!off.jittered.includes(1) && !off.gray.includes(1));
  assert.equal(off.sigma, null);
  assert.equal(off.solarized, null);
  for (const name of ["crops", "flipped", "order", "factors"] as const) assert.deepEqual(on[name], off[name]);
  assert(!drawViews({ ...SETTINGS, pGrayscale: 0 }, sizes, KEY).gray.includes(1));
  assert(!drawViews({ ...SETTINGS, pGrayscale: 1 }, sizes, KEY).gray.includes(0));
});

Deno.test("parameters: two processes draw what one draws for the whole batch", () => {
  const whole = drawViews(SETTINGS, equalSizes(4, 50, 40), KEY);
  for (const first of [0, 2]) {
    const part = drawViews(SETTINGS, equalSizes(2, 50, 40), { ...KEY, first });
    for (const [view, image] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      assert.deepEqual(viewOf(part, 2 * view + image), viewOf(whole, 4 * view + first + image));
    }
  }
});

Deno.test("parameters: more images than streams are refused", () => {
  const draw = (first: number) => drawViews(SETTINGS, equalSizes(1, 8, 8), { ...KEY, first });
  draw(2 ** 31 - 2);
  assert.throws(() => draw(2 ** 31 - 1), /RangeError: Cannot draw views: .* got 2147483648/);
});
