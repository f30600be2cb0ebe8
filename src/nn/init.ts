/**
 * Initial values of parameters.
 *
 * @module
 */

import { empty } from "../torch/create.ts";
import { Generator } from "../torch/random.ts";
import type { Tensor } from "../torch/tensor.ts";

/** The number of inputs that one output of a weight (out, in, ...) is computed from. */
function fanIn(shape: readonly number[]): number {
  return shape.slice(1).reduce((product, size) => product * size, 1);
}

/**
 * A convolution's weight: normal with standard deviation sqrt(1 / fan_in), that is Kaiming's fan-in rule (He et al.,
 * 2015) divided by sqrt 2, as the reference does.
 */
export function convolutionWeight(shape: readonly number[], generator: Generator | null): Tensor {
  return empty(shape).normal_(0, Math.sqrt(1 / fanIn(shape)), generator);
}

/** A tensor that is uniform in [-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's default for linear layers. */
export function linearUniform(shape: readonly number[], inputs: number, generator: Generator | null): Tensor {
  const bound = 1 / Math.sqrt(inputs);
  return empty(shape).uniform_(-bound, bound, generator);
}
