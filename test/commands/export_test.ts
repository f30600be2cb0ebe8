import assert from "node:assert/strict";
import { exportEncoder, type ExportTarget } from "../../src/commands/export.ts";
import { lightningTree } from "../../src/checkpoint/lightning.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { elementCount, type StoredTensor, type TensorSource } from "../../src/checkpoint/stored_tensor.ts";
import { inFolder, numbersOf, source, throwsSentence } from "../checkpoint/files.ts";
import { sampleCheckpoint } from "../checkpoint/samples.ts";

/** A ResNet of basic blocks, `width` wide, whose elements are counted from 1, with the heads around it. */
function stateDict({ width = 64, blocks = [2, 2, 2, 2], kernel = 3 } = {}): Map<string, TensorSource> {
  const state = new Map<string, TensorSource>();
  let next = 1;
  const add = (name: string, ...shape: number[]) => {
    state.set(name, source("float32", shape, Array.from({ length: elementCount(shape) }, () => next++)));
  };
  const batchNorm = (name: string) => {
    for (const each of ["weight", "bias", "running_mean", "running_var"]) add(`${name}.${each}`, 2);
    state.set(`${name}.num_batches_tracked`, source("int64", [], [5]));
  };
  add("encoder.conv1.weight", width, 3, kernel, kernel);
  batchNorm("encoder.bn1");
  blocks.forEach((count, stage) => {
    for (let i = 0; i < count; i++) {
      const block = `encoder.layer${stage + 1}.${i}`;
      for (const n of [1, 2]) {
        add(`${block}.conv${n}.weight`, 4, 2);
        batchNorm(`${block}.bn${n}`);
      }
      if (stage > 0 && i === 0) {
        add(`${block}.downsample.0.weight`, 4, 2);
        batchNorm(`${block}.downsample.1`);
      }
    }
  });
  add("encoder.fc.weight", 10, 4);
  add("encoder.fc.bias", 10);
  add("projection.model.hidden.weight", 3, 3);
  add("supervised_head.linear_layer.weight", 10, 4);
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
    for (
      const [target, name] of [["safetensors", "x"], ["timm", "y.safetensors"]] satisfies [
        ExportTarget,
        string,
      ][]
    ) {
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
  inFolder((folder) => {
    const load = (state: Map<string, TensorSource>, settings: object, target: ExportTarget) => {
      writeSample(`${folder}/a.ckpt`, state, settings);
      const { stem, head, load } = exportEncoder(`${folder}/a.ckpt`, target, `${folder}/b`);
      assert.match(head, /^none/);
      return [stem, load];
    };
    assert.deepEqual(load(stateDict(), { maxpool1: false }, "timm"), [
      "3x3 convolution of stride 1, no max-pooling",
      'model = timm.create_model("resnet18", num_classes=0); ' +
      "model.conv1 = torch.nn.Conv2d(3, model.conv1.out_channels, 3, 1, 1, bias=False); model.maxpool = torch.nn.Identity()",
    ]);
    assert.deepEqual(load(stateDict({ kernel: 7 }), { maxpool1: 0 }, "torchvision"), [
      "7x7 convolution of stride 2, no max-pooling",
      "model = torchvision.models.resnet18(); model.fc = torch.nn.Identity(); model.maxpool = torch.nn.Identity()",
    ]);
    assert.deepEqual(
      load(stateDict({ kernel: 7, blocks: [3, 4, 6, 3] }), { maxpool1: true }, "safetensors"),
      [
        "7x7 convolution of stride 2, 3x3 max-pooling of stride 2",
        "model = torchvision.models.resnet34(); model.fc = torch.nn.Identity()",
      ],
    );
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
