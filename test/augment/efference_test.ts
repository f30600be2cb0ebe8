import assert from "node:assert/strict";
import fc from "fast-check";
import {
  invertScaleNegateTranslation,
  relativeManipulation,
  viewMatrices,
} from "../../src/augment/efference.ts";
import { fromTypedArray } from "../../src/torch/create.ts";
import { scope } from "../../src/torch/scope.ts";
import { assertClose, goldenFile } from "../golden.ts";

Deno.test("golden: matrices and manipulations are the reference's", () => {
  scope(() => {
    const golden = goldenFile("manipulation");
    const rows = golden.get("params")!, count = rows.shape[0];
    const columns = (start: number, end: number) => rows.slice(1, start, end).toNumbers();
    const sizes = columns(0, 2);
    const a = viewMatrices(columns(2, 7), sizes);
    const b = viewMatrices(columns(7, 12), sizes);
    const results = {
      theta_a: a,
      theta_b: b,
      a_to_b: relativeManipulation(a, b),
      b_to_a: relativeManipulation(b, a),
    };
    for (const [what, matrices] of Object.entries(results)) {
      assertClose(fromTypedArray(matrices, [count, 2, 3]), golden.get(what)!, {
        rtol: 1e-6,
        atol: 1e-7,
        what,
      });
    }
  });
});

Deno.test("efference: views are assigned to images in turn", () => {
  const matrices = viewMatrices([0, 0, 10, 20, 0, 0, 0, 10, 20, 0, 5, 2, 10, 20, 1], [10, 20, 20, 40]);
  assert.deepEqual(
    [...matrices],
    [1, 0, 0, 0, 1, 0, 0.5, 0, -0.5, 0, 0.5, 0.5, -1, 0, 0.2, 0, 1, -1].map(Math.fround),
  );
});

Deno.test("efference: the 2x2 part of J is the inverse, its translation is only negated", () => {
  const theta = Float32Array.of(2, 1, 0.5, 0, 4, -0.25);
  assert.deepEqual([...invertScaleNegateTranslation(theta)], [0.5, -0.125, -0.5, -0, 0.25, 0.25]);
  assert.deepEqual([...relativeManipulation(theta, theta)], [1, 0, -0.75 + 0.5, 0, 1, 0.75]);
});

Deno.test("efference: off-diagonal entries are exactly zero, and a view without a crop changes nothing", () => {
  const box = fc.tuple(
    fc.nat(40),
    fc.nat(40),
    fc.integer({ min: 1, max: 40 }),
    fc.integer({ min: 1, max: 40 }),
  );
  fc.assert(fc.property(box, box, fc.boolean(), (a, b, flip) => {
    const [thetaA, thetaB] = [
      viewMatrices([...a, 0], [80, 80]),
      viewMatrices([...b, flip ? 1 : 0], [80, 80]),
    ];
    const manipulation = relativeManipulation(thetaA, thetaB);
    assert(Math.abs(manipulation[1]) === 0 && Math.abs(manipulation[3]) === 0);
    const whole = viewMatrices([0, 0, 80, 80, 0], [80, 80]);
    assert.deepEqual(relativeManipulation(whole, thetaB).map(Math.abs), thetaB.map(Math.abs));
  }));
});

Deno.test("efference: different numbers of matrices are refused", () => {
  assert.throws(() => relativeManipulation(new Float32Array(6), new Float32Array(12)), RangeError);
});
