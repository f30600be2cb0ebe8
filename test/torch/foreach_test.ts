import assert from "node:assert/strict";
import fc from "fast-check";
import {
  foreachAdd,
  foreachAdd_,
  foreachAddcdiv_,
  foreachAddcmul_,
  foreachAddScalar_,
  foreachCopy_,
  foreachDiv_,
  foreachLerp_,
  foreachMul_,
  foreachMulScalar_,
  foreachNorm,
  foreachSqrt,
} from "../../src/torch/foreach.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { fromTypedArray, ones } from "../device.ts";
import { assertClose, assertNoLeak } from "../golden.ts";

const entry = fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { minLength: 1, maxLength: 5 });
const entries = fc.array(entry, { maxLength: 6 });

function tensors(lists: readonly number[][]): Tensor[] {
  return lists.map((numbers) => fromTypedArray(Float64Array.from(numbers)));
}

/** Asserts that each tensor holds `f` of the numbers in its place. */
function assertEach(actual: readonly Tensor[], lists: readonly number[][], f: (n: number) => number): void {
  assert.equal(actual.length, lists.length);
  const expected = tensors(lists.map((numbers) => numbers.map(f)));
  actual.forEach((tensor, i) => assertClose(tensor, expected[i], { rtol: 1e-12 }));
}

Deno.test("foreach: lists of tensors are treated as one by one", () => {
  fc.assert(fc.property(entries, (lists) => {
    scope(() => {
      if (lists.length === 0) return;
      const b = tensors(lists.map((numbers) => numbers.map((n) => n + 1)));
      const changed = (change: (a: Tensor[]) => void) => {
        const a = tensors(lists);
        change(a);
        return a;
      };
      assertEach(foreachAdd(tensors(lists), b, 3), lists, (n) => n + 3 * (n + 1));
      assertEach(foreachSqrt(tensors(lists)), lists, Math.sqrt);
      assertEach(changed((a) => foreachAdd_(a, b, -2)), lists, (n) => n - 2 * (n + 1));
      assertEach(changed((a) => foreachAddScalar_(a, 0.5)), lists, (n) => n + 0.5);
      assertEach(changed((a) => foreachMulScalar_(a, 0.5)), lists, (n) => n * 0.5);
      assertEach(changed((a) => foreachDiv_(a, 4)), lists, (n) => n / 4);
      assertEach(changed((a) => foreachMul_(a, b)), lists, (n) => n * (n + 1));
      assertEach(changed((a) => foreachLerp_(a, b, 0.25)), lists, (n) => n + 0.25);
      assertEach(changed((a) => foreachAddcmul_(a, b, b, 2)), lists, (n) => n + 2 * (n + 1) ** 2);
      assertEach(
        changed((a) => foreachAddcdiv_(a, a.map((t) => t.clone()), b, 2)),
        lists,
        (n) => n + 2 * n / (n + 1),
      );
      assertEach(changed((a) => foreachCopy_(a, b)), lists, (n) => n + 1);
      const norms = foreachNorm(tensors(lists)).map((norm) => norm.item());
      norms.forEach((norm, i) => assert.ok(Math.abs(norm - Math.hypot(...lists[i])) < 1e-12 * norm));
    });
  }));
});

Deno.test("foreach: lists that do not correspond are refused", () => {
  scope(() => {
    assert.throws(() => foreachAdd([ones([2])], [ones([2]), ones([2])]), /aten::_foreach_add.List/);
    assert.throws(
      () => foreachMul_([ones([2])], [ones([3])]),
      /aten::_foreach_mul_.List: .*float32\[2\], float32\[3\]/,
    );
    assert.throws(() => foreachMulScalar_([], 2), /aten::_foreach_mul_.Scalar/);
  });
});

Deno.test("foreach: nothing is left over", () => {
  assertNoLeak(() => {
    const a = [ones([2]), ones([3])];
    foreachAdd(a, a);
    foreachMulScalar_(a, 2);
    foreachNorm(a);
  });
});
