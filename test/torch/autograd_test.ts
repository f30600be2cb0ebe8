import assert from "node:assert/strict";
import { autocast, enableGrad, gradients, noGrad } from "../../src/torch/autograd.ts";
import { type DType, isFloating } from "../../src/torch/dtype.ts";
import { conv2d, crossEntropy, linear } from "../../src/torch/functional.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { arange, DEVICE, fromTypedArray, ones, tensor } from "../device.ts";
import { assertNoLeak, unit } from "../golden.ts";
import { gradcheck } from "./gradcheck.ts";

function float64(data: readonly number[]): Tensor {
  return fromTypedArray(Float64Array.from(data));
}

Deno.test("autograd: backward accumulates into leaves", () => {
  scope(() => {
    const x = float64([1, 2, 3]).requiresGrad_();
    assert.equal(x.grad, null);
    x.mul(x).sum().backward();
    assert.deepEqual(x.grad!.toNumbers(), [2, 4, 6]);
    x.sum().backward();
    assert.deepEqual(x.grad!.toNumbers(), [3, 5, 7]);
    x.grad = float64([1, 1, 1]);
    x.mul(2).backward(float64([1, 10, 100]));
    assert.deepEqual(x.grad!.toNumbers(), [3, 21, 201]);
    x.grad = null;
    assert.equal(x.grad, null);
  });
});

Deno.test("autograd: requiresGrad and isLeaf", () => {
  scope(() => {
    const x = ones([2]);
    assert.deepEqual([x.requiresGrad, x.isLeaf], [false, true]);
    x.requiresGrad_();
    const y = x.mul(2);
    assert.deepEqual([x.requiresGrad, x.isLeaf, y.requiresGrad, y.isLeaf], [true, true, true, false]);
    assert.equal(x.requiresGrad_(false), x);
    assert.equal(x.requiresGrad, false);
    assert.throws(() => y.requiresGrad_(false), /requiresGrad_: .*leaf/);
    assert.throws(() => ones([2], { dtype: "int64" }).requiresGrad_(), /requiresGrad_: .*floating point/);
  });
});

Deno.test("autograd: a graph is used up by backward unless it is retained", () => {
  scope(() => {
    const x = ones([2]).requiresGrad_();
    const y = x.exp().sum();
    y.backward(undefined, { retainGraph: true });
    y.backward();
    assert.throws(() => y.backward(), /backward: .*second time/);
    assert.throws(() => x.mul(2).backward(), /backward: .*scalar/);
    assert.throws(() => x.mul(2).backward(ones([3])), /backward: .*shape/);
    assert.throws(() => ones([1]).backward(), /backward: .*does not require grad/);
  });
});

Deno.test("autograd: gradients leaves grad alone", () => {
  scope(() => {
    const x = float64([1, 2]).requiresGrad_(),
      y = float64([3, 4]).requiresGrad_(),
      z = ones([1]).requiresGrad_();
    const [dx, dy] = gradients([x.mul(y).sum()], [x, y]);
    assert.deepEqual([dx!.toNumbers(), dy!.toNumbers()], [[3, 4], [1, 2]]);
    assert.equal(x.grad, null);
    const [weighted] = gradients([x.mul(2), y.sum()], [x], {
      gradients: [float64([1, 5]), float64([0]).sum()],
    });
    assert.deepEqual(weighted!.toNumbers(), [2, 10]);
    assert.deepEqual(gradients([x.sum()], [x, z], { allowUnused: true })[1], null);
    assert.throws(() => gradients([x.sum()], [z]), /gradients: .*not .*used/);
    assert.throws(() => gradients([x.mul(2)], [x]), /gradients: .*scalar/);
    assert.throws(() => gradients([], [x]), /gradients/);
    assert.throws(() => gradients([x.sum()], []), /gradients/);
  });
});

Deno.test("autograd: gradients of gradients", () => {
  scope(() => {
    const x = float64([2, 3]).requiresGrad_();
    const [first] = gradients([x.pow(3).sum()], [x], { createGraph: true });
    const [second] = gradients([first!.sum()], [x]);
    assert.deepEqual(first!.toNumbers(), [12, 27]);
    assert.deepEqual(second!.toNumbers(), [12, 18]);
    x.pow(3).sum().backward(undefined, { createGraph: true });
    assert.equal(x.grad!.requiresGrad, true);
    x.grad = null; // the gradient's graph holds the leaf, which holds the gradient
  });
});

Deno.test("autograd: a gradient must be like its tensor", () => {
  scope(() => {
    const x = ones([2, 3]).requiresGrad_();
    const message = /a gradient must be like its tensor, float32\[2, 3\], not/;
    assert.throws(() => x.grad = ones([3, 2]), { name: "TorchError", message });
    assert.throws(() => x.grad = ones([2, 3], { dtype: "float64" }), { message });
    assert.throws(() => x.grad = ones([2, 3], { device: "meta" }), { message });
    assert.throws(() => x.grad = x, /cannot be its own gradient/);
    assert.equal(x.grad, null);
  });
});

Deno.test("autograd: noGrad and enableGrad nest and are undone by errors", () => {
  scope(() => {
    const x = ones([2]).requiresGrad_();
    const recorded = () => x.mul(2).requiresGrad;
    assert.equal(noGrad(recorded), false);
    assert.equal(noGrad(() => enableGrad(recorded)), true);
    assert.equal(noGrad(() => (enableGrad(recorded), recorded())), false);
    assert.throws(() => noGrad(() => x.add(ones([3]))));
    assert.equal(recorded(), true);
    const promise = Promise.resolve();
    assert.throws(() => noGrad(() => promise), { name: "TypeError", message: /a grad mode .* asynchronous/ });
    assert.equal(recorded(), true);
  });
});

Deno.test("autograd: what is changed in place and still needed is noticed", () => {
  scope(() => {
    const x = ones([2]).requiresGrad_();
    assert.throws(() => x.add_(1), /aten::add_.Tensor: .*leaf/);
    noGrad(() => x.add_(1));
    assert.deepEqual(x.toNumbers(), [2, 2]);
    const y = x.exp(), loss = y.sum();
    noGrad(() => y.mul_(2));
    assert.throws(() => loss.backward(), /backward: .*inplace/);
  });
});

Deno.test("autograd: detach cuts off", () => {
  scope(() => {
    const x = float64([3]).requiresGrad_();
    x.mul(x.detach()).sum().backward();
    assert.deepEqual(x.grad!.toNumbers(), [3]);
    assert.equal(x.detach().requiresGrad, false);
  });
});

Deno.test("autograd: views, indexing, joins and reductions pass gradients on", () => {
  const picked = tensor([1, 0], { dtype: "int64" });
  const x = unit("autograd.x", [2, 3, 4]), y = unit("autograd.y", [3, 4]);
  gradcheck((a) => a.transpose().slice(1, 1).select(0, 1).unsqueeze(0).expand(2, -1, -1), x);
  gradcheck((a) => a.permute(2, 0, 1).reshape(4, -1).flip(0), x);
  gradcheck((a) => a.indexSelect(1, picked).mul(a.index([picked]).slice(1, 0, 2)), x);
  gradcheck((a) => a.gather(0, picked.reshape(2, 1).expand(2, 4)), y);
  gradcheck((a, b) => a.mul(b).add(b, 2).sub(a.div(b.abs().add(1))), x, y);
  gradcheck((a) => a.std([1]).add(a.mean([1])).mul(a.amax([1])), x);
  gradcheck((a) => a.softmax(0).add(a.logSoftmax(1)).add(a.exp()), x);
  gradcheck((a, b) => a.matmul(b.transpose()), x, y);
  gradcheck((a) => a.unbind(1)[2].mul(a.chunk(2, 2)[1].sum([2]).select(1, 0).unsqueeze(1)), x);
  gradcheck((a) => a.abs().add(0.5).log().add(a.abs().add(0.5).rsqrt()).add(a.abs().sqrt()).add(a.pow(3)), x);
  gradcheck((a) => a.clamp(-0.5, 0.5).add(a.relu()).add(a.minimum(a.neg())).add(a.norm()), x);
  for (const made of [picked, x, y]) made[Symbol.dispose]();
});

Deno.test("autocast: convolutions and products in the dtype asked for, losses in float32", () => {
  scope(() => {
    const x = ones([2, 3, 4, 4]), kernel = ones([5, 3, 3, 3]), weight = ones([6, 4]);
    const dtypes = () => [
      conv2d(x, kernel).dtype,
      linear(x, weight).dtype,
      x.matmul(weight.transpose()).dtype,
      x.add(1).dtype,
      crossEntropy(linear(ones([2, 4]), weight), tensor([0, 1], { dtype: "int64" })).dtype,
    ];
    const plain: DType[] = Array(5).fill("float32");
    assert.deepEqual(dtypes(), plain);
    for (const dtype of ["bfloat16", "float16"] as const) {
      assert.deepEqual(autocast(DEVICE, dtype, dtypes), [dtype, dtype, dtype, "float32", "float32"]);
    }
    assert.deepEqual(dtypes(), plain);
  });
});

Deno.test("autocast: nests, is switched off inside another and undone by errors", () => {
  scope(() => {
    const x = ones([2, 2]), product = () => x.matmul(x).dtype;
    autocast(DEVICE, "bfloat16", () => {
      assert.equal(autocast(DEVICE, "float16", product), "float16");
      assert.equal(product(), "bfloat16");
      assert.equal(autocast(DEVICE, null, product), "float32");
      assert.equal(product(), "bfloat16");
      assert.throws(() => autocast(DEVICE, "float16", () => x.matmul(ones([3, 3]))));
      assert.equal(product(), "bfloat16");
    });
    assert.equal(product(), "float32");
    assert.throws(() => autocast(DEVICE, "bfloat16", () => Promise.resolve()), /autocast .* asynchronous/);
    assert.equal(product(), "float32");
    assert.throws(() => autocast(DEVICE, "int64", product), /autocast: .*floating-point/);
    assert.equal(product(), "float32");
  });
});

Deno.test("autocast: a weight that was cast for one dtype is cast anew for another", () => {
  scope(() => {
    const x = ones([2, 2]), weight = ones([2, 2]).requiresGrad_();
    const product = () => x.matmul(weight).dtype;
    autocast(DEVICE, "bfloat16", () => {
      assert.equal(product(), "bfloat16");
      assert.equal(autocast(DEVICE, "float16", product), "float16");
      assert.equal(product(), "bfloat16");
    });
  });
});

Deno.test("autocast: gradients arrive in the weight's own dtype, and a noGrad pass before does not stop them", () => {
  scope(() => {
    const x = ones([2, 2]), weight = ones([2, 2]).requiresGrad_();
    autocast(DEVICE, "bfloat16", () => {
      noGrad(() => x.matmul(weight));
      x.matmul(weight).float().sum().backward();
    });
    assert.equal(weight.grad!.dtype, "float32");
    assert.deepEqual(weight.grad!.toNumbers(), [2, 2, 2, 2]);
    noGrad(() => weight.mul_(3));
    // The weight has changed since it was cast.
    const again = autocast(DEVICE, "bfloat16", () => x.matmul(weight));
    assert.deepEqual(again.toNumbers(), [6, 6, 6, 6]);
  });
});

Deno.test("autograd: neither graphs nor casts are left over", () => {
  const weight = scope(() => unit("autograd.weight", [3, 3]).float().requiresGrad_());
  const before = counters();
  assertNoLeak(() => {
    autocast(DEVICE, "bfloat16", () => arange(0, 6).reshape(2, 3).float().matmul(weight).float().sum())
      .backward();
    gradients([weight.mul(2).sum()], [weight]);
    weight.grad = null;
  });
  assert.deepEqual(counters(), before);
  assert.ok(isFloating(weight.dtype));
  weight[Symbol.dispose]();
});
