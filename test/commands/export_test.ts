import assert from "node:assert/strict";
import { encoderOf, exportEncoder, type ExportTarget } from "../../src/commands/export.ts";
import { lightningTree, type Plain } from "../../src/checkpoint/lightning.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { elementCount, type StoredTensor, type TensorSource } from "../../src/checkpoint/stored_tensor.ts";
import { type Architecture, encoderShapes } from "../../src/nn/architectures.ts";
import { inFolder, numbersOf, source, throwsSentence } from "../checkpoint/files.ts";
import { sampleCheckpoint } from "../checkpoint/samples.ts";

/** A ResNet with the heads around it; each tensor is filled with a number of its own. */
function stateDict(
  { width = 64, arch = "resnet18" as Architecture, firstConv = false } = {},
): Map<string, TensorSource> {
  const state = new Map<string, TensorSource>();
  const add = (name: string, shape: readonly number[]) => {
    const isCounter = name.endsWith("num_batches_tracked"), next = state.size;
    state.set(name, {
      dtype: isCounter ? "int64" : "float32",
      shape,
      read: () =>
        new Uint8Array(
          isCounter ? BigInt64Array.of(5n).buffer : new Float32Array(elementCount(shape)).fill(next).buffer,
        ),
    });
  };
  for (const [name, { shape }] of encoderShapes(arch, { width, firstConv })) add(`encoder.${name}`, shape);
  add("encoder.fc.weight", [10, 4]);
  add("encoder.fc.bias", [10]);
  add("projection.model.hidden.weight", [3, 3]);
  add("supervised_head.linear_layer.weight", [10, 4]);
  return state;
}

function writeSample(path: string, state: Map<string, TensorSource>, settings = {}): void {
  writeCheckpoint(
    path,
    lightningTree({ ...sampleCheckpoint(), stateDict: state, hyperParameters: settings }),
  );
}

/** The names of torchvision's ResNet of these tensors: the encoder's without prefix and classifier. */
const encoderNames = (state: Map<string, TensorSource>) =>
  [...state.keys()].filter((name) => name.startsWith("encoder.") && !name.includes(".fc.")).map((name) =>
    name.slice(8)
  ).sort();

Deno.test("export: the encoder alone, under torchvision's names, with the same numbers", () => {
  inFolder((folder) => {
    const state = stateDict();
    writeSample(`${folder}/a.ckpt`, state, { maxpool1: false, dataset: "cifar10" });
    const targets: [ExportTarget, string][] = [["safetensors", "x"], ["timm", "y.safetensors"]];
    for (const [target, name] of targets) {
      exportEncoder(`${folder}/a.ckpt`, target, `${folder}/${name}`);
      using file = readSafetensors(`${folder}/${name}`);
      assert.deepEqual([...file.tensors.keys()].sort(), encoderNames(state));
      for (const [name, tensor] of file.tensors) {
        assert.deepEqual(numbersOf(tensor), numbersOf(state.get(`encoder.${name}`)!));
      }
      assert.equal(file.metadata.get("arch"), "resnet18");
      assert.equal(file.metadata.get("dataset"), "cifar10");
      assert.equal(file.metadata.get("global_step"), "1000");
    }
    exportEncoder(`${folder}/a.ckpt`, "torchvision", `${folder}/z.pth`);
    using file = readCheckpoint(`${folder}/z.pth`);
    assert.deepEqual([...(file.root as Map<string, StoredTensor>).keys()].sort(), encoderNames(state));
    assert.equal(file.metadata.get("format"), "pt");
  });
});

Deno.test("export: the metadata say how the stem and the head differ", () => {
  const load = (state: Map<string, TensorSource>, settings: Record<string, Plain>, target: ExportTarget) => {
    const checkpoint = { ...sampleCheckpoint(), stateDict: state, hyperParameters: settings };
    const { stem, head, load } = encoderOf("a.ckpt", checkpoint, target).metadata;
    assert.match(head, /^none/);
    return [stem, load];
  };
  assert.deepEqual(load(stateDict(), { maxpool1: false }, "timm"), [
    "3x3 convolution of stride 1, no max-pooling",
    'model = timm.create_model("resnet18", num_classes=0); ' +
    "model.conv1 = torch.nn.Conv2d(3, model.conv1.out_channels, 3, 1, 1, bias=False); model.maxpool = torch.nn.Identity()",
  ]);
  assert.deepEqual(load(stateDict({ firstConv: true }), { maxpool1: 0 }, "torchvision"), [
    "7x7 convolution of stride 2, no max-pooling",
    "model = torchvision.models.resnet18(); model.fc = torch.nn.Identity(); model.maxpool = torch.nn.Identity()",
  ]);
  assert.deepEqual(
    load(stateDict({ firstConv: true, arch: "resnet34" }), { maxpool1: true }, "safetensors"),
    [
      "7x7 convolution of stride 2, 3x3 max-pooling of stride 2",
      "model = torchvision.models.resnet34(); model.fc = torch.nn.Identity()",
    ],
  );
});

Deno.test("export: what was exported, and a file without BatchNorm's counters, is exported again the same", () => {
  inFolder((folder) => {
    const state = stateDict({ width: 2 });
    const bytes = (name: string) => {
      using file = readSafetensors(`${folder}/${name}`);
      return [[...file.metadata], [...file.tensors].map(([name, tensor]) => [name, tensor.read()])];
    };
    writeSample(`${folder}/a.ckpt`, state, { maxpool1: true });
    exportEncoder(`${folder}/a.ckpt`, "safetensors", `${folder}/b`);
    exportEncoder(`${folder}/b`, "safetensors", `${folder}/c`);
    const [[metadata, tensors], [metadataAgain, tensorsAgain]] = [bytes("b"), bytes("c")];
    assert.deepEqual(tensorsAgain, tensors);
    const { epoch: _e, global_step: _s, encoder, ...rest } = Object.fromEntries(
      metadataAgain as [string, string][],
    );
    assert.equal(encoder, `The encoder of ${folder}/b is the one without a prefix`);
    for (const [name, value] of Object.entries(rest)) {
      assert.equal(new Map(metadata as [string, string][]).get(name), value);
    }
    for (const name of state.keys()) if (name.endsWith("num_batches_tracked")) state.delete(name);
    writeSample(`${folder}/d.ckpt`, state);
    exportEncoder(`${folder}/d.ckpt`, "safetensors", `${folder}/e`);
    using file = readSafetensors(`${folder}/e`);
    assert.deepEqual(numbersOf(file.tensors.get("layer4.1.bn2.num_batches_tracked")!), [0]);
    assert.equal(file.tensors.size, tensors.length);
  });
});

Deno.test("export: what the target cannot hold is refused in one sentence", () => {
  inFolder((folder) => {
    writeSample(`${folder}/a.ckpt`, stateDict({ width: 16 }));
    for (const target of ["timm", "torchvision"] satisfies ExportTarget[]) {
      throwsSentence(
        () => exportEncoder(`${folder}/a.ckpt`, target, `${folder}/b`),
        /Cannot export .*a\.ckpt for (timm|torchvision): its ResNets are 64 wide, this encoder is 16/,
      );
    }
    exportEncoder(`${folder}/a.ckpt`, "safetensors", `${folder}/b`);
    writeCheckpoint(`${folder}/c.pt`, new Map([["weight", source("float32", [1], [1])]]));
    throwsSentence(() => exportEncoder(`${folder}/c.pt`, "timm", `${folder}/d`), /seems to be no ResNet/);
    assert.ok(![...Deno.readDirSync(folder)].some((entry) => entry.name === "d"));
  });
});
