import { randomGamma } from "../../examples/my_transform.ts";
import { drawViews, equalSizes } from "../../src/augment/parameters.ts";
import { makeViews } from "../../src/augment/views.ts";
import { stack } from "../../src/torch/functional.ts";
import { scope } from "../../src/torch/scope.ts";
import { assertClose } from "../golden.ts";
import { madeUpBytes } from "./pixels.ts";
import { testRecipes } from "./recipes.ts";

Deno.test("examples/my_transform.ts changes the views that it has drawn", () => {
  scope(() => {
    const images = madeUpBytes("gamma", [20, 3, 16, 16]), sizes = equalSizes(20, 16, 16);
    const key = { seed: 1, epoch: 0, step: 0, first: 0 }, plain = testRecipes(16);
    const parameters = drawViews({ a: plain.a, b: [...plain.b, randomGamma()] }, sizes, key);
    const slot = parameters.slots.at(-1)!;
    const before = makeViews(images, drawViews(plain, sizes, key), 16).views;
    const expected = before.unbind(0).map((view, i) =>
      parameters.group(slot, i) > 0 ? view.pow(parameters.numbers(slot, i)[0]) : view
    );
    assertClose(makeViews(images, parameters, 16).views, stack(expected), { atol: 1e-5 });
  });
});
