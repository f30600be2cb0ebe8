/**
 * A transform as a user writes it: random gamma, which makes views darker or brighter.
 *
 * @module
 */

import { call, type PixelTransform } from "@stec/stec";

/**
 * A step that raises pixels to a random power at random.
 *
 * @param options probability: the share of views that change. strength: powers lie between 1 / strength and strength,
 * and a power and its inverse are equally likely.
 */
export function randomGamma({ probability = 0.5, strength = 2 } = {}): PixelTransform {
  const most = Math.log(strength);
  return {
    name: "gamma",
    probability,
    columns: 1,
    draw: (random, numbers) => void (numbers[0] = Math.exp(random.uniform(-most, most))),
    apply: (views, numbers) => call("aten::pow.Tensor_Tensor", views, numbers.reshape(-1, 1, 1, 1)),
    describe: ([power]) => [`gamma ${power.toFixed(2)}`],
  };
}
