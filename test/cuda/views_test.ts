import { drawViews, equalSizes } from "../../src/augment/parameters.ts";
import { makeViews } from "../../src/augment/views.ts";
import { ntXent } from "../../src/methods/nt_xent.ts";
import { upload } from "../../src/torch/create.ts";
import { normalize } from "../../src/torch/functional.ts";
import { scope } from "../../src/torch/scope.ts";
import { assertClose, unit } from "../golden.ts";
import { madeUpBytes } from "../augment/pixels.ts";
import { BLURRED, testRecipes } from "../augment/recipes.ts";
import { gpuTest } from "./gpu.ts";

const RECIPES = testRecipes(32, { jitter_strength: 0.5, ...BLURRED });

gpuTest("views on a GPU: as on the CPU", (device) => {
  scope(() => {
    const images = madeUpBytes("views", [64, 3, 40, 36]);
    const parameters = drawViews(RECIPES, equalSizes(64, 40, 36), { seed: 1, epoch: 0, step: 0, first: 0 });
    const expected = makeViews(images, parameters, 32),
      made = makeViews(images.to({ device }), parameters, 32);
    assertClose(made.manipulation, expected.manipulation, { what: "manipulation" });
    assertClose(made.solarized!, expected.solarized!, { what: "solarized" });
    // Solarization jumps at one half, where rounding may decide.
    const plain = expected.solarized!.logicalNot().to({ dtype: "float32" }).reshape(-1, 1, 1, 1);
    assertClose(made.views.to({ device: "cpu" }).mul(plain), expected.views.mul(plain), { atol: 1e-4 });
  });
});

gpuTest("NT-Xent on a GPU: as on the CPU", (device) => {
  scope(() => {
    const rows = ["a", "b"].map((name) => normalize(unit(name, [32, 16]).float()));
    const expected = ntXent(rows[0], rows[1], 0.1);
    const [a, b] = rows.map((z) => z.to({ device }));
    assertClose(ntXent(a, b, 0.1).loss, expected.loss, { rtol: 1e-5 });
  });
});

gpuTest("copies to a GPU: what arrives is what was sent, though the sender goes on", (device) => {
  scope(() => {
    const array = Float32Array.from({ length: 1 << 20 }, (_, i) => i % 1000);
    const sent = upload(array, device, [1024, 1024]);
    const expected = upload(array.slice(), "cpu", [1024, 1024]);
    array.fill(-1);
    assertClose(sent, expected);
  });
});
