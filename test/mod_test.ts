import assert from "node:assert/strict";
import { Linear, plainGroups, resizedCrop, scope, Sgd, Stec, tensor } from "../mod.ts";

Deno.test("mod.ts: the linear regression of its documentation finds the line", () => {
  using x = tensor([[0], [1], [2], [3]]), y = tensor([[1], [3], [5], [7]]);
  using model = new Linear(1, 1);
  using sgd = new Sgd(plainGroups(model.namedParameters(), 0, false), { momentum: 0.9, nesterov: false });
  for (let step = 0; step < 200; step++) {
    scope(() => {
      model.zeroGrad();
      const error = model.forward(x).sub(y);
      error.mul(error).mean().backward();
      sgd.step(0.02);
    });
  }
  assert.ok(Math.abs(model.weight.item() - 2) < 0.01, `${model.weight.item()}`);
  assert.ok(Math.abs(model.bias!.item() - 1) < 0.01, `${model.bias!.item()}`);
});

Deno.test("mod.ts: exports every layer of the library", () => {
  for (const exported of [Linear, Sgd, Stec, resizedCrop, scope, tensor]) {
    assert.equal(typeof exported, "function");
  }
});
