import assert from "node:assert/strict";
import { exportEncoder } from "../../src/commands/export.ts";
import type { Picklable } from "../../src/checkpoint/pickle.ts";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { elementCount, type StoredTensor, type TensorSource } from "../../src/checkpoint/stored_tensor.ts";
import { openWeights } from "../../src/checkpoint/weights.ts";
import { tensorSource } from "../../src/checkpoint/tensors.ts";
import { loadModel } from "../../src/training/stored_model.ts";
import { ones } from "../../src/torch/create.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import { source } from "../checkpoint/files.ts";
import { temporaryFolder } from "../made_data.ts";
import { writeModel } from "../made_model.ts";

Deno.test("stored model: sizes and heads are the checkpoint's, everything is in eval mode and frozen", () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/a.ckpt`, before = counters();
  writeModel(path, { classes: 10 });
  {
    using model = loadModel(path, "cpu", false);
    assert.equal(model.encoder.featureWidth, 32);
    assert.equal(model.manipulationHead?.bins, 4);
    assert.deepEqual([model.classes, model.steps], [10, 7]);
    for (const [name, module] of model.encoder.namedModules()) assert.equal(module.training, false, name);
    for (const parameter of model.encoder.parameters()) assert.equal(parameter.requiresGrad, false);
  }
  assert.deepEqual(counters(), before);
});

Deno.test("stored model: an exported encoder gives the same features, with the max-pooling that is asked for", () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/a.ckpt`, exported = `${folder.path}/encoder.pth`;
  writeModel(path);
  using whole = loadModel(path, "cpu", false);
  // As `export` writes it for torchvision, which only knows wider ones: the encoder alone, without settings.
  const encoder = [...whole.encoder.stateDict()].filter(([name]) => !name.startsWith("fc."));
  writeCheckpoint(exported, new Map(encoder.map(([name, tensor]) => [name, tensorSource(tensor)])));
  const features = (maxPool: boolean) =>
    scope(() => {
      using alone = loadModel(exported, "cpu", maxPool);
      assert.deepEqual([alone.supervisedHead, alone.manipulationHead, alone.classes], [null, null, 0]);
      return alone.encoder.forward(ones([1, 3, 32, 32])).toNumbers();
    });
  const expected = scope(() => whole.encoder.forward(ones([1, 3, 32, 32])).toNumbers());
  assert.deepEqual(features(true), expected, "its settings ask for max-pooling");
  assert.notDeepEqual(features(false), expected);
});

Deno.test("stored model: a file without a ResNet is refused in one sentence", () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/a.pt`;
  writeCheckpoint(path, new Map([["weight", source("float32", [1], [1])]]));
  assert.throws(() => loadModel(path, "cpu", false), {
    name: "TypeError",
    message: `Cannot load ${path}: it seems to be no ResNet that is known here`,
  });
});

/** Writes the tensors of a small model's checkpoint anew, under other names or with other values. */
function rewritten(folder: string, name: string, rename: (state: State) => Picklable): string {
  const from = `${folder}/a.ckpt`, to = `${folder}/${name}`;
  writeModel(from);
  using file = openWeights(from);
  const state = new Map(file.stateDict), tree = rename(state);
  if (name.endsWith(".safetensors")) writeSafetensors(to, tree as unknown as State);
  else writeCheckpoint(to, tree);
  return to;
}

type State = Map<string, StoredTensor>;

/** The encoder's tensors alone. */
const encoderOf = (state: State, prefix: string) =>
  new Map(
    [...state].filter(([name]) => name.startsWith("encoder.")).map(([name, tensor]) => [
      name.replace("encoder.", prefix),
      tensor,
    ]),
  );

Deno.test("stored model: the same features from every form and under every prefix that is known", () => {
  using folder = temporaryFolder();
  const features = (path: string) =>
    scope(() => {
      using model = loadModel(path, "cpu", true);
      return model.encoder.forward(ones([1, 3, 32, 32])).toNumbers();
    });
  writeModel(`${folder.path}/a.ckpt`);
  const expected = features(`${folder.path}/a.ckpt`);
  exportEncoder(`${folder.path}/a.ckpt`, "safetensors", `${folder.path}/exported`);
  assert.deepEqual(features(`${folder.path}/exported`), expected);
  const forms: [name: string, rename: (state: State) => Picklable][] = [
    ["bare.pth", (state) => encoderOf(state, "")],
    ["bare.safetensors", (state) => encoderOf(state, "")],
    ["model.pth", (state) => ({ model: encoderOf(state, ""), epoch: 3, args: "none" })],
    ["wrapped.pth", (state) => ({ state_dict: encoderOf(state, "module.backbone.") })],
    ["compiled.pth", (state) => ({ model: encoderOf(state, "_orig_mod.model.encoder.") })],
    ["moco.pth", (state) => {
      const keys = [...encoderOf(state, "module.encoder_k.")].map(([name, { shape }]) =>
        [name, source("float32", shape, new Array(elementCount(shape)).fill(1))] as const
      );
      return {
        state_dict: new Map<string, TensorSource>([...keys, ...encoderOf(state, "module.encoder_q.")]),
      };
    }],
  ];
  for (const [name, rename] of forms) {
    assert.deepEqual(features(rewritten(folder.path, name, rename)), expected, name);
  }
});

Deno.test("stored model: heads are found beside a wrapped encoder", () => {
  using folder = temporaryFolder();
  const path = rewritten(
    folder.path,
    "b.pth",
    (state) =>
      new Map(
        [...state].map((
          [name, tensor],
        ) => [`module.${name.replace("encoder.", "encoder._orig_mod.")}`, tensor]),
      ),
  );
  using model = loadModel(path, "cpu", true);
  assert.deepEqual([model.classes, model.manipulationHead?.bins], [10, 4]);
  assert.equal(model.note, `The encoder of ${path} is module.encoder._orig_mod`);
});

Deno.test("stored model: counters of BatchNorm that are missing count as 0", () => {
  using folder = temporaryFolder();
  const path = rewritten(
    folder.path,
    "b.pth",
    (state) => new Map([...state].filter(([name]) => !name.endsWith("num_batches_tracked"))),
  );
  using model = loadModel(path, "cpu", true);
  const state = model.encoder.stateDict();
  assert.equal(state.get("layer1.0.bn1.num_batches_tracked")!.item(), 0);
});

Deno.test("stored model: weights and statistics that are not finite are refused, by name", () => {
  using folder = temporaryFolder();
  const names = [
    "encoder.layer2.0.conv1.weight",
    "encoder.bn1.running_var",
    "supervised_head.linear_layer.bias",
  ];
  for (const name of names) {
    const path = rewritten(folder.path, "b.pth", (state) => {
      const { shape } = state.get(name)!, numbers = new Array(elementCount(shape)).fill(0.5);
      return new Map<string, TensorSource>(state).set(
        name,
        source("float32", shape, [...numbers.slice(1), NaN]),
      );
    });
    assert.throws(() => loadModel(path, "cpu", false), {
      name: "TypeError",
      message: `Cannot use ${path}: ${name} is not finite`,
    });
  }
});
