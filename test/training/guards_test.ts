import assert from "node:assert/strict";
import { ResNet } from "../../src/nn/resnet.ts";
import { faultOf, firstNonFinite } from "../../src/training/guards.ts";
import { featureSpread } from "../../src/methods/feature_spread.ts";
import { ones, tensor, zeros } from "../../src/torch/create.ts";
import { scope } from "../../src/torch/scope.ts";
import { unit } from "../golden.ts";

Deno.test("featureSpread: 0 for features that point the same way, 1 for those that cancel out", () => {
  scope(() => {
    const same = tensor([[1, 2], [2, 4], [0.5, 1]]), opposite = tensor([[1, 0], [-3, 0], [0, 1], [0, -2]]);
    assert.ok(featureSpread(same).item() < 1e-6);
    assert.ok(Math.abs(featureSpread(opposite).item() - 1) < 1e-6);
  });
});

Deno.test("faultOf: tells a loss that is not finite and a collapsed representation", () => {
  assert.equal(faultOf({ "train/loss": 3, "train/feature_spread": 0.2 }), null);
  assert.equal(faultOf({ "train/loss": NaN, "train/feature_spread": 0.2 }), "the loss is NaN");
  assert.match(faultOf({ "train/loss": 3, "train/feature_spread": 1e-5 })!, /collapsed.*1\.0e-5/);
  assert.equal(faultOf({ "val/loss": NaN }), null);
});

Deno.test("firstNonFinite: names the parameter or the first layer, and leaves the layers as they were", () => {
  scope(() => {
    using model = new ResNet({ arch: "resnet18", firstConv: false, maxPool: false, width: 4 }).eval();
    const forward = (images: number) => () => void model.forward(ones([2, 3, 8, 8]).mul(images));
    assert.equal(firstNonFinite(model, forward(1)), null);
    assert.equal(firstNonFinite(model, forward(Infinity)), "the output of conv1");
    assert.equal(firstNonFinite(model, forward(1)), null, "the layers are as before");
    const state = model.stateDict();
    state.get("layer2.0.bn1.running_var")!.fill_(-1);
    assert.equal(firstNonFinite(model, forward(1)), "the output of layer2.0.bn1");
    state.get("layer3.0.conv1.weight")!.detach().copy_(zeros([]).div(0));
    assert.equal(firstNonFinite(model, forward(1)), "the parameter layer3.0.conv1.weight");
  });
});

Deno.test("featureSpread: leaves no gradient behind", () => {
  scope(() => assert.equal(featureSpread(unit("f", [4, 3]).requiresGrad_()).requiresGrad, false));
});
