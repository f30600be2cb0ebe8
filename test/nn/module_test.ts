import assert from "node:assert/strict";
import { BatchNorm, Conv2d, Linear, ReLU, Sequential } from "../../src/nn/layers.ts";
import { Layer } from "../../src/nn/module.ts";
import { noGrad } from "../../src/torch/autograd.ts";
import { ones, tensor, zeros } from "../../src/torch/create.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";

/** A network with a parameter and a buffer of its own beside two children. */
class Small extends Layer {
  readonly scale: Tensor;
  readonly seen: Tensor;
  readonly body: Sequential;
  readonly head: Linear;

  constructor() {
    super();
    this.scale = this.parameter("scale", ones([1]));
    this.seen = this.buffer("seen", zeros([], { dtype: "int64" }));
    this.body = this.child(
      "body",
      new Sequential({ conv: new Conv2d(3, 4, 3), bn: new BatchNorm(4), relu: new ReLU() }),
    );
    this.head = this.child("head", new Linear(4, 2));
  }

  override forward(images: Tensor): Tensor {
    return scope(() => this.head.forward(this.body.forward(images).mean([2, 3])).mul(this.scale));
  }
}

const NAMES = [
  "scale",
  "seen",
  "body.conv.weight",
  "body.bn.weight",
  "body.bn.bias",
  "body.bn.running_mean",
  "body.bn.running_var",
  "body.bn.num_batches_tracked",
  "head.weight",
  "head.bias",
];
const BUFFERS = ["seen", "body.bn.running_mean", "body.bn.running_var", "body.bn.num_batches_tracked"];

function numbersOf(network: Layer): Map<string, number[]> {
  return new Map(Array.from(network.stateDict(), ([name, tensor]) => [name, tensor.toNumbers()]));
}

Deno.test("module: names come in the order of registration, parameters before buffers before children", () => {
  using network = new Small();
  assert.deepEqual([...network.stateDict().keys()], NAMES);
  assert.deepEqual([...network.stateDict("encoder").keys()], NAMES.map((name) => `encoder.${name}`));
  assert.deepEqual(Array.from(network.namedBuffers(), ([name]) => name), BUFFERS);
  const parameters = NAMES.filter((name) => !BUFFERS.includes(name));
  assert.deepEqual(Array.from(network.namedParameters(), ([name]) => name), parameters);
  const modules = ["", "body", "body.conv", "body.bn", "body.relu", "head"];
  assert.deepEqual(Array.from(network.namedModules(), ([name]) => name), modules);
  assert.deepEqual([...network.children().keys()], ["body", "head"]);
  assert.equal(network.parameterCount(), 1 + 4 * 3 * 9 + 4 + 4 + 8 + 2);
  assert.equal(network.parameters().length, parameters.length);
});

Deno.test("module: parameters learn, buffers do not", () => {
  using network = new Small();
  assert.ok(network.parameters().every((parameter) => parameter.requiresGrad && parameter.isLeaf));
  for (const [name, buffer] of network.namedBuffers()) assert.equal(buffer.requiresGrad, false, name);
  network.requiresGrad_(false);
  assert.ok(network.parameters().every((parameter) => !parameter.requiresGrad));
  assert.equal(network.forward(ones([2, 3, 4, 4])).requiresGrad, false);
});

Deno.test("module: it owns what it registers, inside a scope too, and frees it once", () => {
  const before = counters();
  const network = scope(() => {
    const made = new Small();
    return () => made;
  })();
  assert.equal(counters().tensors - before.tensors, NAMES.length);
  network[Symbol.dispose]();
  network[Symbol.dispose]();
  assert.deepEqual(counters(), before);
});

Deno.test("module: train and eval reach every child", () => {
  using network = new Small();
  const modes = () => Array.from(network.namedModules(), ([, module]) => module.training);
  assert.ok(modes().every((training) => training));
  assert.equal(network.eval(), network);
  assert.ok(modes().every((training) => !training));
  network.body.train();
  assert.deepEqual(modes(), [false, true, true, true, true, false]);
  network.train();
  assert.ok(modes().every((training) => training));
});

Deno.test("module: zeroGrad removes all gradients", () => {
  using network = new Small();
  scope(() => network.forward(ones([2, 3, 4, 4])).sum().backward());
  scope(() => assert.ok(network.parameters().every((parameter) => parameter.grad !== null)));
  network.zeroGrad();
  assert.ok(network.parameters().every((parameter) => parameter.grad === null));
});

Deno.test("module: a state dict is loaded by name, converted, and the tensors stay the same", () => {
  using source = new Small(), target = new Small();
  noGrad(() => source.parameters().forEach((parameter, i) => parameter.fill_(i)));
  source.seen.fill_(7);
  source.to({ dtype: "float64" });
  const tensors = [...target.stateDict().values()];
  const state = new Map([...source.stateDict()].reverse());
  assert.deepEqual(target.loadStateDict(state), { missing: [], unexpected: [] });
  assert.deepEqual(numbersOf(target), numbersOf(source));
  assert.deepEqual([...target.stateDict().values()], tensors);
  assert.ok(target.parameters().every(({ dtype, requiresGrad }) => dtype === "float32" && requiresGrad));
});

Deno.test("module: a state dict that does not fit is refused in one sentence, and changes nothing", () => {
  scope(() => {
    using network = new Small();
    const before = numbersOf(network), fitting = new Map(network.stateDict());
    const refuse = (change: (state: Map<string, Tensor>) => void, message: string) => {
      const state = new Map(fitting);
      for (const [name, value] of state) state.set(name, value.add(1));
      change(state);
      const expected = { name: "RangeError", message: `Cannot load the state dict: ${message}` };
      assert.throws(() => network.loadStateDict(state), expected);
      assert.deepEqual(numbersOf(network), before);
    };
    refuse((state) => state.delete("scale"), "missing scale");
    refuse((state) => state.set("fc.weight", ones([1])), "unexpected fc.weight");
    refuse((state) => state.set("head.bias", ones([3])), "head.bias is [3], wanted [2]");
    refuse((state) => {
      state.delete("seen");
      state.set("x", ones([1])).set("head.weight", ones([4, 2]));
    }, "missing seen; unexpected x; head.weight is [4,2], wanted [2,4]");
    refuse((state) => state.clear(), "missing scale, seen, body.conv.weight, body.bn.weight and 6 more");
  });
});

Deno.test("module: not strictly, a part of a state dict is loaded; shapes must fit all the same", () => {
  scope(() => {
    using network = new Small();
    const state = new Map([["head.bias", tensor([5, 6])], ["other", ones([1])]]);
    const { missing, unexpected } = network.loadStateDict(state, false);
    assert.deepEqual(network.head.bias!.toNumbers(), [5, 6]);
    assert.deepEqual([missing, unexpected], [NAMES.filter((name) => name !== "head.bias"), ["other"]]);
    state.set("head.bias", ones([1]));
    assert.throws(() => network.loadStateDict(state, false), /head.bias is \[1\], wanted \[2\]/);
  });
});

Deno.test("module: to converts floating-point tensors in place and keeps who they are", () => {
  using network = new Small();
  const tensors = [...network.stateDict().values()], weight = network.head.weight;
  scope(() => assert.equal(network.to({ dtype: "float64" }), network));
  assert.deepEqual([...network.stateDict().values()], tensors);
  assert.equal(network.head.weight, weight);
  for (const [name, { dtype }] of network.stateDict()) {
    assert.equal(dtype, /seen|tracked/.test(name) ? "int64" : "float64", name);
  }
  assert.ok(network.parameters().every((parameter) => parameter.requiresGrad && parameter.isLeaf));
  scope(() => assert.equal(network.forward(ones([2, 3, 4, 4], { dtype: "float64" })).dtype, "float64"));
  network.requiresGrad_(false).to({ memoryFormat: "channels_last", dtype: "bfloat16" });
  assert.ok(network.parameters().every((parameter) => !parameter.requiresGrad));
  assert.equal(network.stateDict().get("body.conv.weight")!.isChannelsLast, true);
  assert.deepEqual(weight.toNumbers(), network.head.weight.toNumbers());
});

Deno.test("module: to frees what it replaces", () => {
  const before = counters();
  {
    using network = new Small();
    const { tensors, bytes } = counters();
    network.to({ dtype: "float64" }).to({ dtype: "float32" }).to({ dtype: "float32" });
    assert.deepEqual([counters().tensors, counters().bytes], [tensors, bytes]);
  }
  assert.deepEqual(counters(), before);
});

Deno.test("module: a tensor that a scope made becomes the module's", () => {
  class Holder extends Layer {
    readonly weight = scope(() => this.parameter("weight", ones([2]).mul(3)));
    override forward(input: Tensor): Tensor {
      return input.mul(this.weight);
    }
  }
  const before = counters();
  scope(() => {
    const holder = scope(() => new Map([["made", new Holder()]])).get("made")!;
    assert.deepEqual(holder.forward(ones([2])).toNumbers(), [3, 3]);
    holder[Symbol.dispose]();
  });
  assert.deepEqual(counters(), before);
});
