import assert from "node:assert/strict";
import {
  checkNames,
  compareNames,
  describeArchitecture,
  guessArchitecture,
  type Shaped,
} from "../../src/checkpoint/names.ts";

const NAMES: { state_dict: Record<string, Record<string, number[]>> } = JSON.parse(
  Deno.readTextFileSync(new URL("../fixtures/golden/names.json", import.meta.url)),
);
const stateDict = (key: string) =>
  new Map<string, Shaped>(Object.entries(NAMES.state_dict[key]).map(([name, shape]) => [name, { shape }]));

Deno.test("names: architectures are told by the names and shapes of the reference", () => {
  for (const key of Object.keys(NAMES.state_dict)) {
    const guess = guessArchitecture(stateDict(key));
    const [arch, stem] = key.startsWith("stec") ? [key.slice(5), "cifar"] : key.split(".");
    assert.equal(guess.arch, arch, key);
    assert.equal(guess.stem, stem === "cifar" ? 3 : 7, key);
    assert.equal(guess.featureWidth, ["resnet18", "resnet34"].includes(arch) ? 512 : 2048, key);
    assert.equal(guess.width, 64, key);
    assert.equal(guess.prefix, key.startsWith("stec") ? "encoder." : "", key);
  }
});

Deno.test("names: heads are told too", () => {
  const guess = guessArchitecture(stateDict("stec.resnet50"));
  assert.deepEqual(
    [guess.classes, guess.hiddenMlp, guess.featDim, guess.manipHidden, guess.bins],
    [10, 1024, 64, [512], 6],
  );
  assert.equal(
    describeArchitecture(guess),
    "resnet50, a 3x3 first convolution, 10 classes, --hidden_mlp 1024, --feat_dim 64, --manip_hidden_mlp 512",
  );
});

Deno.test("names: what is no ResNet is said to be none", () => {
  const guess = guessArchitecture(new Map([["weight", { shape: [3, 4] }]]));
  assert.equal(guess.arch, null);
  assert.equal(describeArchitecture(guess), "no ResNet that is known here");
});

Deno.test("names: equal names and shapes pass, in any order", () => {
  const wanted = stateDict("stec.resnet18");
  checkNames("a.ckpt", new Map([...wanted].reverse()), wanted);
  assert.deepEqual(compareNames(wanted, wanted), { missing: [], unexpected: [], reshaped: [] });
});

Deno.test("names: the message says what is missing, unexpected, of another shape, and what the file is", () => {
  const found = stateDict("stec.resnet18"), wanted = new Map(stateDict("stec.resnet18"));
  wanted.set("encoder.conv1.weight", { shape: [64, 3, 7, 7] });
  wanted.delete("supervised_head.linear_layer.bias");
  wanted.set("one.more", { shape: [] });
  assert.throws(() => checkNames("a.ckpt", found, wanted), {
    name: "TypeError",
    message: [
      "Cannot load a.ckpt into this model:",
      "  missing (1): one.more",
      "  unexpected (1): supervised_head.linear_layer.bias",
      "  of another shape (1): encoder.conv1.weight is [64, 3, 3, 3], wanted [64, 3, 7, 7]",
      "  the file seems to be resnet18, a 3x3 first convolution, 10 classes, --hidden_mlp 512, --feat_dim 64, --manip_hidden_mlp 512",
      "  the model is resnet18, a 7x7 first convolution, 10 classes, --hidden_mlp 512, --feat_dim 64, --manip_hidden_mlp 512",
    ].join("\n"),
  });
});

Deno.test("names: long lists are cut", () => {
  assert.throws(
    () => checkNames("a.ckpt", stateDict("stec.resnet18"), stateDict("stec.resnet50")),
    (error: Error) => {
      const lines = error.message.split("\n");
      assert.equal(lines.length, 5);
      assert.match(lines[1], /missing \(165\): encoder\.layer1\.0\.conv3\.weight, .*, and 160 more$/);
      assert.ok(lines.every((line) => line.length < 400));
      return true;
    },
  );
});
