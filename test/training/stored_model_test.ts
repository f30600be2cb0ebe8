import assert from "node:assert/strict";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
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
