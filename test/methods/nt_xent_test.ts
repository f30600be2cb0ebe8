import assert from "node:assert/strict";
import { ntXent } from "../../src/methods/nt_xent.ts";
import { normalize } from "../../src/torch/functional.ts";
import { scope } from "../../src/torch/scope.ts";
import { tensor } from "../device.ts";
import { assertClose, assertNoLeak, goldenFile, img } from "../golden.ts";

for (const name of ["a", "b", "c"]) {
  Deno.test(`golden nt_xent: case ${name} in loss, accuracies, entropy and gradients`, () => {
    scope(() => {
      const golden = goldenFile("nt_xent");
      const of = (key: string) => golden.get(`${name}.${key}`)!;
      const z1 = of("z1").requiresGrad_(), z2 = of("z2").requiresGrad_();
      const result = ntXent(z1, z2, of("temperature").item());
      result.loss.backward();
      assertClose(result.loss, of("loss"), { rtol: 1e-5, what: "loss" });
      assertClose(result.accuracy, of("accuracy"), { what: "accuracy", rtol: 1e-6 });
      assertClose(result.contrastAccuracy, of("contrast_accuracy"), {
        what: "contrast accuracy",
        rtol: 1e-6,
      });
      assertClose(result.contrastEntropy, of("contrast_entropy"), { rtol: 1e-5, what: "contrast entropy" });
      assertClose(z1.grad!, of("grad_z1"), { rtol: 1e-5, atol: 1e-7, what: "gradient of z1" });
      assertClose(z2.grad!, of("grad_z2"), { rtol: 1e-5, atol: 1e-7, what: "gradient of z2" });
    });
  });
}

Deno.test("ntXent: perfect pairs among orthogonal rows have the loss of the formula", () => {
  scope(() => {
    const z = tensor([[1, 0], [0, 1]], { dtype: "float64" });
    const { loss, accuracy, contrastAccuracy } = ntXent(z, z, 0.5);
    // Each row has one partner at cosine 1 and two strangers at cosine 0.
    const expected = -Math.log(Math.exp(2) / (Math.exp(2) + 2));
    assert.ok(Math.abs(loss.item() - expected) < 1e-12, `${loss.item()} != ${expected}`);
    assert.equal(accuracy.item(), 1);
    assert.equal(contrastAccuracy.item(), 1);
  });
});

Deno.test("ntXent: bfloat16 input is compared in float32", () => {
  scope(() => {
    const z = normalize(img("z", [4, 8])).to({ dtype: "bfloat16" });
    assert.equal(ntXent(z, z, 0.1).loss.dtype, "float32");
  });
});

Deno.test("ntXent: leaves no temporaries", () => {
  assertNoLeak(() => {
    const z = normalize(img("z", [4, 8])).requiresGrad_();
    ntXent(z, z, 0.1).loss.backward();
  });
});
