import assert from "node:assert/strict";
import { BatchNorm, Conv2d, Linear, ReLU, Sequential } from "../../src/nn/layers.ts";
import { batchNorm, conv2d, linear } from "../../src/torch/functional.ts";
import { Generator } from "../../src/torch/random.ts";
import { scope } from "../../src/torch/scope.ts";
import { DEVICE, ones, tensor } from "../device.ts";
import { assertClose, unit } from "../golden.ts";

Deno.test("Linear: x W^T + b, drawn uniformly within 1/sqrt(inputs)", () => {
  scope(() => {
    using generator = new Generator(1), layer = new Linear(16, 500, { generator }).to({ device: DEVICE });
    using bare = new Linear(16, 4, { bias: false }).to({ device: DEVICE });
    const x = unit("x", [3, 16]).float();
    assertClose(layer.forward(x), linear(x, layer.weight, layer.bias), {});
    assertClose(bare.forward(x), linear(x, bare.weight), {});
    assert.equal(bare.bias, null);
    assert.deepEqual([...bare.stateDict().keys()], ["weight"]);
    for (const drawn of [layer.weight, layer.bias!]) {
      const numbers = drawn.toNumbers();
      assert.ok(numbers.every((n) => n >= -0.25 && n < 0.25));
      assert.ok(Math.max(...numbers) > 0.24 && Math.min(...numbers) < -0.24);
    }
    assert.throws(() => layer.forward(ones([3, 15])), /aten::linear/);
  });
});

Deno.test("Conv2d: stride and padding, drawn with deviation sqrt(1 / fan-in)", () => {
  scope(() => {
    using generator = new Generator(1),
      layer = new Conv2d(8, 32, 3, { stride: 2, padding: 1, generator }).to({ device: DEVICE });
    const x = unit("x", [2, 8, 6, 6]).float();
    assertClose(layer.forward(x), conv2d(x, layer.weight, null, 2, 1), {});
    assert.deepEqual(layer.forward(x).shape, [2, 32, 3, 3]);
    const deviation = layer.weight.detach().std().item(), wanted = Math.sqrt(1 / 72);
    assert.ok(Math.abs(deviation - wanted) < 5 * wanted / Math.sqrt(2 * layer.weight.numel));
    assert.deepEqual(new Conv2d(1, 1, 3).to({ device: DEVICE }).forward(ones([1, 1, 5, 5])).shape, [
      1,
      1,
      3,
      3,
    ]);
  });
});

Deno.test("Conv2d: strided 1x1 windows over few channels, which come last, have the gradients of others", () => {
  for (const inputs of [4, 8, 24, 40]) {
    scope(() => {
      using generator = new Generator(1), layer = new Conv2d(inputs, 2 * inputs, 1, { stride: 2, generator });
      const last = { memoryFormat: "channels_last" } as const;
      const images = unit(`few ${inputs}`, [16, inputs, 56, 56]).float();
      const x = images.to(last).detach().requiresGrad_();
      layer.to(last);
      const out = layer.forward(x), dy = unit("dy", out.shape).float();
      out.mul(dy).sum().backward();
      // In double precision, which oneDNN leaves to others.
      const exactX = images.double().requiresGrad_(),
        exactWeight = layer.weight.detach().double().requiresGrad_();
      const exact = conv2d(exactX, exactWeight, null, 2);
      exact.mul(dy.double()).sum().backward();
      assertClose(out, exact, { atol: 1e-5 });
      assertClose(x.grad!, exactX.grad!, { atol: 1e-5 });
      assertClose(layer.weight.grad!, exactWeight.grad!, { rtol: 1e-4, atol: 1e-2 });
    });
  }
});

Deno.test("BatchNorm: batch statistics in training, running ones in use", () => {
  scope(() => {
    using layer = new BatchNorm(3).to({ device: DEVICE });
    assert.deepEqual([layer.weight.toNumbers(), layer.bias.toNumbers()], [[1, 1, 1], [0, 0, 0]]);
    const x = unit("x", [4, 3, 2, 2]).float().mul(5).add(2);
    const out = layer.forward(x);
    assertClose(out.detach().mean([0, 2, 3]), tensor([0, 0, 0]), { atol: 1e-6 });
    assertClose(out.detach().std([0, 2, 3], 0), tensor([1, 1, 1]), { atol: 1e-5 });
    assertClose(layer.runningMean, x.mean([0, 2, 3]).mul(0.1), { rtol: 1e-6 });
    assertClose(layer.runningVar, x.std([0, 2, 3]).pow(2).mul(0.1).add(0.9), { rtol: 1e-6 });
    layer.forward(x);
    assert.equal(layer.batchesTracked.item(), 2);
    layer.eval();
    const [mean, variance] = [layer.runningMean.clone(), layer.runningVar.clone()];
    const inUse = layer.forward(x);
    assertClose(inUse, batchNorm(x, layer.weight, layer.bias, mean, variance, false, 0.1, 1e-5), {});
    assertClose(layer.runningMean, mean, {});
    assert.equal(layer.batchesTracked.item(), 2);
    layer.train();
    assert.deepEqual(layer.forward(ones([4, 3])).shape, [4, 3]);
    const message = "Cannot normalise a batch: each channel has one value only, the shape is [1, 3]";
    assert.throws(() => layer.forward(ones([1, 3])), { name: "RangeError", message });
    assert.deepEqual(layer.eval().forward(ones([1, 3])).shape, [1, 3]);
  });
});

Deno.test("BatchNorm: a weight of zero where it is asked for", () => {
  using layer = new BatchNorm(2, { zeroWeight: true }).to({ device: DEVICE });
  assert.deepEqual(layer.weight.toNumbers(), [0, 0]);
});

Deno.test("Sequential: layers one after another, under their names", () => {
  scope(() => {
    using layers = new Sequential({
      0: new Linear(4, 3),
      act: new ReLU(),
      2: new Linear(3, 2, { bias: false }),
    });
    // JavaScript puts names that are whole numbers first.
    assert.deepEqual([...layers.children().keys()], ["0", "2", "act"]);
    using named = new Sequential({ first: new Linear(4, 3), act: new ReLU() }).to({ device: DEVICE });
    assert.deepEqual([...named.stateDict().keys()], ["first.weight", "first.bias"]);
    const x = unit("x", [5, 4]).float(), out = named.forward(x);
    assert.ok(out.detach().ge(0).all().item());
  });
});
