import assert from "node:assert/strict";
import fc from "fast-check";
import { encoderIn } from "../../src/checkpoint/encoder.ts";
import { findEncoder, ownNames } from "../../src/checkpoint/encoder_names.ts";
import { encoderShapes } from "../../src/nn/architectures.ts";
import { fixture, throwsSentence } from "./files.ts";

/** Names and shapes of the state dicts of torchvision's and timm's models, by scripts/check_with_pytorch.py. */
const ENCODERS: Record<string, Record<string, number[]>> = JSON.parse(
  Deno.readTextFileSync(fixture("encoders.json")),
);

const stateOf = (key: string, prefix = "") =>
  new Map(Object.entries(ENCODERS[key]).map(([name, shape]) => [prefix + name, { shape }]));

const mark = (prefix: string) => `${prefix}layer1.0.conv1.weight`;

Deno.test("encoder: the only ResNet is chosen, else the one with the best known name", () => {
  const cases: [prefixes: string[], chosen: string | null][] = [
    [[], null],
    [[""], ""],
    [["module."], "module."],
    [["encoder_k."], "encoder_k."],
    [["ema.", "encoder."], "encoder."],
    [["encoder.", "", "backbone."], "encoder."],
    [["module.encoder_k.", "module.encoder_q."], "module.encoder_q."],
    [["backbone.", "encoder_q."], "encoder_q."],
    [["model.backbone.", "teacher.backbone."], "model.backbone."],
    [["_orig_mod.module.encoder.", "momentum_encoder."], "_orig_mod.module.encoder."],
    [["encoder._orig_mod.", "encoder_m._orig_mod."], "encoder._orig_mod."],
    [["", "ema."], null],
    [["base_encoder.", "momentum_encoder."], null],
    [["student.encoder.", "teacher.encoder."], null],
    [["encoder.", "module.encoder.", "backbone."], null],
  ];
  for (const [prefixes, prefix] of cases) {
    assert.deepEqual(findEncoder(prefixes.map(mark)), { prefix, candidates: prefixes });
  }
});

const WRAPPER = fc.constantFrom("module.", "model.", "_orig_mod.");
const PREFIX = fc.array(
  fc.constantFrom("encoder", "encoder_q", "encoder_k", "backbone", "ema", "module", "model"),
)
  .map((parts) => parts.map((part) => `${part}.`).join(""));

Deno.test("encoder: the choice is one of the candidates, whatever their order and the wrappers around all", () => {
  fc.assert(fc.property(fc.uniqueArray(PREFIX), fc.array(WRAPPER), fc.nat(), (prefixes, wrappers, turn) => {
    const { prefix, candidates } = findEncoder(prefixes.map(mark));
    assert.deepEqual(candidates, prefixes);
    assert.ok(prefix === null || candidates.includes(prefix));
    assert.ok(prefixes.length !== 1 || prefix === prefixes[0]);
    const at = turn % (prefixes.length + 1), turned = [...prefixes.slice(at), ...prefixes.slice(0, at)];
    assert.equal(findEncoder(turned.map(mark)).prefix, prefix);
    const outside = wrappers.join(""), wrapped = findEncoder(prefixes.map((each) => mark(outside + each)));
    assert.equal(wrapped.prefix, prefix === null ? null : outside + prefix);
  }));
});

Deno.test("encoder: wrapped names become the same as before they were wrapped", () => {
  const own = [
    ...["conv1.weight", "layer1.0.conv1.weight", "fc.bias"].map((name) => `encoder.${name}`),
    ...["projection.model.hidden.weight", "supervised_head.linear_layer.weight"],
  ];
  fc.assert(
    fc.property(fc.array(WRAPPER), fc.constantFrom("encoder.", "encoder_q.", ""), (wrappers, called) => {
      const outside = wrappers.join("");
      const wrap = (name: string) =>
        outside + (name.startsWith("encoder.") ? called + name.slice("encoder.".length) : name);
      const state = new Map(own.map((name) => [wrap(name), name]));
      const { prefix } = findEncoder(state.keys());
      assert.deepEqual([...ownNames(state, prefix!)].sort(), own.map((name) => [name, name]).sort());
    }),
  );
});

Deno.test("encoder: the weights of torchvision and timm are found, whole", () => {
  for (const key of ["torchvision.resnet18", "torchvision.resnet50", "timm.resnet18"]) {
    for (const prefix of ["", "module.", "module.encoder_q."]) {
      const { arch, width, firstConv, state } = encoderIn("a.pth", stateOf(key, prefix));
      assert.deepEqual([arch, width, firstConv], [key.split(".")[1], 64, true]);
      for (const [name, { shape }] of encoderShapes(arch, { width, firstConv })) {
        assert.deepEqual(state.get(`encoder.${name}`)?.shape, shape, name);
      }
    }
  }
});

Deno.test("encoder: layers that this program does not have are refused by name", () => {
  const cases: [key: string, message: RegExp][] = [
    ["timm.seresnet18", /as a resnet18: it has layers .* does not have: layer1\.0\.se\.fc1, .* and 11 more$/],
    ["timm.resnet18d", /does not have: conv1\.0, .*; .*lacks layers: conv1, layer2\.0\.downsample\.0/],
    ["timm.skresnet18", /does not have: layer1\.0\.conv1\.paths\.0\.conv, /],
    [
      "timm.resnet50_gn",
      /other norms than BatchNorm, without running statistics: bn1, layer1\.0\.bn1, .* more$/,
    ],
    ["timm.resnet26", /it seems to be no ResNet that is known here$/],
    [
      "torchvision.resnext50_32x4d",
      /layer1\.0\.conv2 is \[128, 4, 3, 3\], not .* \(grouped, as in ResNeXt\)/,
    ],
    ["torchvision.wide_resnet50_2", /layer1\.0\.conv1 is \[128, 64, 1, 1\], not .* \(as in wide ResNets\)/],
  ];
  for (const [key, message] of cases) {
    throwsSentence(() => encoderIn("a.pth", stateOf(key)), /^Cannot load a\.pth/);
    throwsSentence(() => encoderIn("a.pth", stateOf(key)), message);
  }
  const adapted = stateOf("timm.resnet18", "encoder.").set("encoder.adapter.down.weight", { shape: [8, 64] });
  throwsSentence(() => encoderIn("a.pth", adapted), /does not have: adapter\.down$/);
});

Deno.test("encoder: several without a preference are refused and listed, a choice among several is said", () => {
  const both = (first: string, second: string) =>
    new Map([...stateOf("timm.resnet18", first), ...stateOf("timm.resnet18", second)]);
  throwsSentence(
    () => encoderIn("a.pth", both("", "ema.")),
    /^Cannot tell which encoder of a\.pth is meant, it has 2: the one without a prefix, ema$/,
  );
  assert.equal(
    encoderIn("a.pth", both("module.encoder_k.", "module.encoder_q.")).note,
    "The encoder of a.pth is module.encoder_q; not used: module.encoder_k",
  );
  assert.equal(encoderIn("a.pth", stateOf("timm.resnet18", "encoder.")).note, null);
  assert.equal(
    encoderIn("a.pth", stateOf("timm.resnet18")).note,
    "The encoder of a.pth is the one without a prefix",
  );
});

Deno.test("encoder: BatchNorm's counters may be missing", () => {
  const state = stateOf("torchvision.resnet18");
  for (const name of state.keys()) if (name.endsWith("num_batches_tracked")) state.delete(name);
  assert.equal(encoderIn("a.pth", state).arch, "resnet18");
});
