/**
 * Checks gradients against differences.
 *
 * @module
 */

import assert from "node:assert/strict";
import { gradients, noGrad } from "../../src/torch/autograd.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { fromTypedArray } from "../device.ts";
import { unit } from "../golden.ts";

const STEP = 1e-6;

/**
 * Asserts that autograd's gradient of sum(f(inputs) * weights), with made-up weights, agrees with central differences in
 * each element of each float64 input to a relative 1e-6.
 */
export function gradcheck(f: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): void {
  const value = (inputs: Tensor[]) =>
    scope(() => {
      const output = f(...inputs);
      return output.mul(unit("gradcheck", output.shape)).sum();
    });
  scope(() => {
    const leaves = inputs.map((input) => input.detach().clone().requiresGrad_());
    const analytic = gradients([value(leaves)], leaves);
    inputs.forEach((input, which) => {
      const numbers = Float64Array.from(input.toNumbers());
      const differences = numbers.map((_, i) => {
        const shifted = (step: number) =>
          scope(() => {
            const moved = fromTypedArray(numbers.with(i, numbers[i] + step), input.shape);
            return noGrad(() => value(inputs.with(which, moved))).item();
          });
        return (shifted(STEP) - shifted(-STEP)) / (2 * STEP);
      });
      const found = analytic[which]!.toNumbers();
      assert.deepEqual(analytic[which]!.shape, input.shape);
      differences.forEach((expected, i) => {
        const error = Math.abs(found[i] - expected), allowed = 1e-6 * (1 + Math.abs(expected));
        assert.ok(error <= allowed, `input ${which}, element ${i}: ${found[i]}, by differences ${expected}`);
      });
    });
  });
}
