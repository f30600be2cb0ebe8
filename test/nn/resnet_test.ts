import assert from "node:assert/strict";
import { type Architecture, encoderShapes } from "../../src/nn/architectures.ts";
import { ResNet, type ResNetOptions } from "../../src/nn/resnet.ts";
import { Generator } from "../../src/torch/random.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import { stack } from "../../src/torch/functional.ts";
import { DEVICE, ones } from "../device.ts";
import { assertClose, assertNoLeak, fill, goldenFile, goldenJson, img, unit } from "../golden.ts";

const ARCHITECTURES: readonly Architecture[] = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"];

/** The stems of the golden files and the size of their images. */
const STEMS: Readonly<Record<string, Omit<ResNetOptions, "arch"> & { size: number }>> = {
  cifar: { firstConv: false, maxPool: false, size: 32 },
  stl: { firstConv: true, maxPool: false, size: 48 },
  imagenet: { firstConv: true, maxPool: true, size: 64 },
};

/** The ARCH.STEM that begin the names of a golden file. */
function casesOf(names: Iterable<string>): string[] {
  const cases = Array.from(names, (name) => name.split(".").slice(0, 2).join("."));
  return [...new Set(cases)].filter((name) => name.startsWith("resnet"));
}

function build(name: string, options: Partial<ResNetOptions> = {}): ResNet {
  const [arch, stem] = name.split(".");
  return new ResNet({ ...STEMS[stem], arch: arch as Architecture, ...options }).to({ device: DEVICE });
}

Deno.test("golden names: ResNets have the reference's names and shapes, in its order", () => {
  const { state_dict } = goldenJson<{ state_dict: Record<string, Record<string, number[]>> }>("names");
  const cases = casesOf(Object.keys(state_dict));
  assert.ok(cases.length > 0);
  for (const name of cases) {
    using network = build(name);
    const state = Array.from(network.stateDict(), ([name, { shape }]) => [name, shape]);
    assert.deepEqual(state, Object.entries(state_dict[name]), name);
  }
});

Deno.test("resnet: all depths have as many parameters as torchvision's", () => {
  const counts = [11_689_512, 21_797_672, 25_557_032, 44_549_160, 60_192_808];
  ARCHITECTURES.forEach((arch, i) => {
    using network = build(`${arch}.imagenet`);
    assert.equal(network.parameterCount(), counts[i], arch);
    assert.equal(network.featureWidth, i < 2 ? 512 : 2048);
  });
});

Deno.test("resnet: every depth and stem turns images into features, and width scales all", () => {
  for (const arch of ARCHITECTURES) {
    for (const [stem, { size }] of Object.entries(STEMS)) {
      scope(() => {
        using network = build(`${arch}.${stem}`, { width: 4 });
        assert.equal(network.featureWidth, arch === "resnet18" || arch === "resnet34" ? 32 : 128);
        assert.deepEqual(network.forward(ones([2, 3, size, size])).shape, [2, network.featureWidth]);
        assert.throws(() => network.forward(ones([2, 4, size, size])), /aten::conv2d/);
      });
    }
  }
});

Deno.test("resnet: channels_last gives the same features", () => {
  scope(() => {
    using network = build("resnet50.imagenet", { width: 4 }).to({ dtype: "float64" });
    fill(network.stateDict());
    network.eval();
    const images = img("images", [2, 3, 64, 64]), plain = network.forward(images);
    network.to({ memoryFormat: "channels_last" });
    const last = network.forward(images.contiguous("channels_last"));
    assertClose(last, plain, { rtol: 1e-10, atol: 1e-12 });
  });
});

Deno.test("resnet: a forward pass leaves the features alone behind", () => {
  using network = build("resnet18.cifar", { width: 4 });
  const before = counters();
  assertNoLeak(() => void network.forward(ones([2, 3, 32, 32])).sum().backward());
  network.zeroGrad();
  assert.deepEqual(counters(), before);
});

/** Asserts that fresh parameters have the golden mean, deviation and largest value, as far as chance allows. */
function assertFresh(network: ResNet, golden: Readonly<Record<string, readonly number[]>>): void {
  const measured = scope(() =>
    new Map(Array.from(network.namedParameters(), ([name, parameter]) => {
      const p = parameter.detach().double();
      return [name, [p.mean().item(), p.std(null, 0).item(), p.abs().amax().item(), p.numel] as const];
    }))
  );
  assert.deepEqual([...measured.keys()], Object.keys(golden));
  for (const [name, [mean, std, largest]] of Object.entries(golden)) {
    const [m, s, l, count] = measured.get(name)!;
    if (std === 0) {
      assert.deepEqual([m, s], [mean, 0], name);
      continue;
    }
    // Two draws: means differ by std sqrt(2 / n), deviations by std / sqrt(n) at most, times five for many parameters.
    assert.ok(Math.abs(m - mean) < 5 * std * Math.sqrt(2 / count), `${name}: mean ${m}, golden ${mean}`);
    assert.ok(Math.abs(s - std) < 5 * std / Math.sqrt(count), `${name}: deviation ${s}, golden ${std}`);
    assert.ok(l / largest > 0.6 && l / largest < 1.6, `${name}: largest ${l}, golden ${largest}`);
  }
}

Deno.test("golden init_stats: fresh parameters are spread as the reference's", () => {
  const golden = goldenJson<Record<string, Record<string, number[]>>>("init_stats");
  for (const [arch, parameters] of Object.entries(golden)) {
    using generator = new Generator(1);
    using network = build(`${arch}.cifar`, { generator });
    assertFresh(network, parameters);
  }
});

Deno.test("resnet: a generator's seed decides the initial weights", () => {
  const draw = (seed: number) =>
    scope(() => {
      using generator = new Generator(seed);
      using network = build("resnet18.cifar", { width: 2, generator });
      return network.parameters().map((parameter) => parameter.toNumbers());
    });
  assert.deepEqual(draw(3), draw(3));
  assert.notDeepEqual(draw(3), draw(4));
});

const golden = scope(() => [...goldenFile("resnet").keys()]);
for (const name of casesOf(golden)) {
  Deno.test(`golden resnet: ${name}`, () => {
    scope(() => {
      const expected = goldenFile("resnet");
      const check = (what: string, actual: ReturnType<typeof ones>, atol = 0) =>
        assertClose(actual, expected.get(`${name}.${what}`)!, { rtol: 1e-9, atol, what });
      const { size } = STEMS[name.split(".")[1]];
      using network = build(name).to({ dtype: "float64" });
      fill(network.stateDict());
      const images = img(`${name}.x`, [4, 3, size, size]);
      check("eval", scope(() => network.eval().forward(images).detach()));
      const features = network.train().forward(images);
      check("train", features.detach());
      features.mul(unit(`${name}.dy`, features.shape)).sum().backward();
      const grads = [...network.namedParameters()].flatMap(([, parameter]) => parameter.grad ?? []);
      check("grad_norm", stack(grads.map((grad) => grad.norm())));
      check("grad_conv1", grads[0], 1e-9 * grads[0].abs().mean().item());
      const state = network.stateDict();
      check("running_mean_bn1", state.get("bn1.running_mean")!);
      check("running_var_bn1", state.get("bn1.running_var")!);
    });
  });
}

Deno.test("ResNet: narrow ones, whose channels come last, compute within their memory", () => {
  for (const width of [4, 24]) {
    using narrow = new ResNet({ arch: "resnet18", firstConv: false, maxPool: false, width });
    narrow.to({ device: DEVICE, memoryFormat: "channels_last" });
    for (let i = 0; i < 3; i++) scope(() => narrow.forward(ones([8, 3, 56, 56])).sum().backward());
  }
});

Deno.test("resnet: the shapes that are listed without a network are those of the network", () => {
  for (const arch of ARCHITECTURES) {
    for (const firstConv of [true, false]) {
      using network = new ResNet({ arch, width: 2, firstConv, maxPool: false });
      const names = [...network.stateDict()].filter(([name]) => !name.startsWith("fc."));
      assert.deepEqual(
        [...encoderShapes(arch, { width: 2, firstConv })].map(([name, { shape }]) => [name, shape]),
        names.map(([name, { shape }]) => [name, shape]),
      );
    }
  }
});
