import assert from "node:assert/strict";
import {
  type LightningCheckpoint,
  lightningTree,
  parseLightning,
  plainOf,
} from "../../src/checkpoint/lightning.ts";
import { checkNames } from "../../src/checkpoint/names.ts";
import { PickleFloat } from "../../src/checkpoint/pickle.ts";
import { PickleGlobal, PickleObject } from "../../src/checkpoint/pickle_values.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
import { StoredTensor, type TensorSource } from "../../src/checkpoint/stored_tensor.ts";
import { fixture, inFolder, numbersOf, throwsSentence } from "./files.ts";
import { sampleCheckpoint, sampleTensors } from "./samples.ts";

/** A checkpoint with its tensors as numbers, to compare. */
function comparable<T extends TensorSource>(checkpoint: LightningCheckpoint<T>): unknown {
  const content = (tensor: TensorSource | number) =>
    typeof tensor === "number" ? tensor : [tensor.dtype, tensor.shape, numbersOf(tensor)];
  const mapped = (map: ReadonlyMap<string, TensorSource | number>) =>
    Array.from(map, ([name, tensor]) => [name, content(tensor)]);
  return {
    ...checkpoint,
    stateDict: mapped(checkpoint.stateDict),
    optimizerStates: checkpoint.optimizerStates.map(({ state, paramGroups }) => ({
      state: Array.from(state, ([key, values]) => [key, mapped(values)]),
      paramGroups,
    })),
  };
}

Deno.test("lightning: what is written comes back, our own state too", () => {
  inFolder((folder) => {
    const path = `${folder}/last.ckpt`;
    writeCheckpoint(path, lightningTree(sampleCheckpoint()));
    using file = readCheckpoint(path);
    assert.deepEqual(comparable(parseLightning(file.root)), comparable(sampleCheckpoint()));
    assert.deepEqual(Deno.readFileSync(path), Deno.readFileSync(fixture("written_lightning.ckpt")));
  });
});

Deno.test("lightning: a gradient scaler's state comes back, with floats where PyTorch has them", () => {
  const scaler = {
    scale: 65536,
    growth_factor: 2,
    backoff_factor: 0.5,
    growth_interval: 2000,
    _growth_tracker: 7,
  };
  inFolder((folder) => {
    const path = `${folder}/last.ckpt`, tree = lightningTree({ ...sampleCheckpoint(), scaler });
    writeCheckpoint(path, tree);
    using file = readCheckpoint(path);
    assert.deepEqual(parseLightning(file.root).scaler, scaler);
    const saved = (tree as Record<string, Record<string, unknown>>).native_amp_scaling_state;
    assert.deepEqual([saved.scale, saved.growth_interval], [new PickleFloat(65536), 2000]);
  });
});

Deno.test("lightning: a real run's optimiser and schedule are found", () => {
  using file = readCheckpoint(fixture("trained.ckpt"));
  const { epoch, globalStep, stateDict, optimizerStates, lrSchedulers, hyperParameters, stec } =
    parseLightning(file.root);
  assert.deepEqual([epoch, globalStep, stec], [1, 2, null]);
  assert.deepEqual([...stateDict.keys()].slice(0, 3), ["0.weight", "0.bias", "1.weight"]);
  assert.equal(optimizerStates.length, 1);
  assert.deepEqual([...optimizerStates[0].state.keys()], [0, 1, 2, 3]);
  assert.deepEqual((optimizerStates[0].state.get(0)!.get("momentum_buffer") as TensorSource).shape, [2, 3]);
  assert.equal(optimizerStates[0].paramGroups[0].lr, 0.125);
  assert.deepEqual(optimizerStates[0].paramGroups[0].params, [0, 1, 2, 3]);
  assert.equal(lrSchedulers[0].last_epoch, 2);
  assert.deepEqual(hyperParameters, { lr: 0.5 });
});

const REFERENCE =
  new URL("../../../shared/data/checkpoints/stec_resnet18_cifar10.ckpt", import.meta.url).pathname;
const hasReference = exists(REFERENCE);

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

Deno.test({
  name: `lightning: the reference's own checkpoint is read${hasReference ? "" : " (skipped: no ../shared)"}`,
  ignore: !hasReference,
  fn() {
    using file = readCheckpoint(REFERENCE);
    const { epoch, globalStep, stateDict, optimizerStates, lrSchedulers, hyperParameters } = parseLightning(
      file.root,
    );
    assert.deepEqual([epoch, globalStep], [2, 1000]);
    checkNames(REFERENCE, stateDict, namesOf("stec.resnet18"));
    assert.deepEqual(optimizerStates.map(({ state }) => state.size), [0, 46, 1]);
    assert.deepEqual(optimizerStates[2].paramGroups[0].params, [0]);
    assert.equal(lrSchedulers[0].last_epoch, 1000);
    assert.deepEqual([hyperParameters.arch, hyperParameters.feat_dim, hyperParameters.args], [
      "resnet18",
      64,
      undefined,
    ]);
    // Its convolutions are stored as channels_last: the same numbers in another order.
    const conv = stateDict.get("encoder.conv1.weight")!, span = new Uint8Array(conv.byteLength);
    for (const piece of conv.storedPieces(new Uint8Array(1 << 20))) span.set(piece);
    const dense = new Float32Array(conv.read().buffer), stored = new Float32Array(span.buffer);
    assert.deepEqual(conv.strides, [27, 1, 9, 3]);
    for (const [o, c, h, w] of [[0, 0, 0, 0], [63, 2, 2, 2], [5, 1, 0, 2]]) {
      assert.equal(dense[((o * 3 + c) * 3 + h) * 3 + w], stored[o * 27 + c + h * 9 + w * 3]);
    }
  },
});

/** Names and shapes of a whole model of the reference. */
function namesOf(key: string): Map<string, { shape: number[] }> {
  const path = new URL("../fixtures/golden/names.json", import.meta.url);
  const shapes: Record<string, number[]> = JSON.parse(Deno.readTextFileSync(path)).state_dict[key];
  return new Map(Object.entries(shapes).map(([name, shape]) => [name, { shape }]));
}

Deno.test("lightning: a bare state dict is one at epoch 0", () => {
  using file = readCheckpoint(fixture("written_tensors.pt"));
  const { epoch, stateDict, hyperParameters, optimizerStates } = parseLightning(file.root);
  assert.deepEqual([epoch, hyperParameters, optimizerStates], [0, {}, []]);
  assert.deepEqual([...stateDict.keys()], [...sampleTensors().keys()]);
});

Deno.test("lightning: what is no checkpoint is refused in one sentence", () => {
  const inert = new PickleObject(new PickleGlobal("mine", "Model"), []);
  const cases: [root: unknown, message: RegExp][] = [
    [inert, /^Cannot find what a checkpoint has in the file: it holds no dict of names$/],
    [new Map([[1, 2]]), /it holds no dict of names/],
    [new Map(), /it is an empty dict/],
    [new Map([["a", inert]]), /a in it is no tensor that can be read/],
    [new Map([["state_dict", null]]), /state_dict is no dict of names/],
    [new Map([["state_dict", new Map([["w", 3]])]]), /w in state_dict is no tensor/],
    [new Map<string, unknown>([["state_dict", null], ["epoch", -1]]), /its epoch is -1, not a whole number/],
  ];
  for (const [root, message] of cases) throwsSentence(() => parseLightning(root), message);
});

Deno.test("lightning: settings become plain objects; what is no plain data is left out", () => {
  const inert = new PickleObject(new PickleGlobal("argparse", "Namespace"), []);
  const shared = [1, "x"];
  const settings = new Map<unknown, unknown>([["a", shared], ["b", shared], [3, inert], ["c", [
    inert,
    2n ** 70n,
    null,
  ]]]);
  settings.set("__proto__", new Map([["polluted", true]]));
  const plain = plainOf(settings) as Record<string, unknown>;
  assert.deepEqual(Object.entries(plain), [["a", [1, "x"]], ["b", [1, "x"]], ["c", [null]], ["__proto__", {
    polluted: true,
  }]]);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});

Deno.test("lightning: settings that contain themselves, or are too deep, are refused", () => {
  const self: unknown[] = [];
  self.push(self);
  throwsSentence(() => plainOf(self), /contain themselves or are too deep/);
  let deep: unknown = 1;
  for (let i = 0; i < 200; i++) deep = [deep];
  throwsSentence(() => plainOf(deep), /contain themselves or are too deep/);
});

Deno.test("lightning: settings that double at every level are converted once each", () => {
  assert.ok(Array.isArray(plainOf(doubled("leaf"))));
});

/** A list of a list twice, of a list twice, ...: 2^60 leaves in 61 objects. */
function doubled(leaf: unknown): unknown {
  let value = leaf;
  for (let i = 0; i < 60; i++) value = [value, value];
  return value;
}

Deno.test("lightning: an optimizer's state under anything but the number of a parameter is refused", () => {
  const withKey = (key: unknown) =>
    new Map([
      ["state_dict", new Map([["w", new StoredTensor("float32", SCALAR, NOWHERE)]])],
      ["optimizer_states", [new Map([["state", new Map([[key, new Map()]])]])]],
    ] as [string, unknown][]);
  assert.equal(parseLightning(withKey(0)).optimizerStates[0].state.size, 1);
  const keys: [key: unknown, text: string][] = [[-1, "-1"], [0.5, "0.5"], [NaN, "NaN"], ["0", "0"]];
  for (const [key, text] of keys) {
    throwsSentence(
      () => parseLightning(withKey(key)),
      new RegExp(`an optimizer's state has the key ${text}, not the number of a parameter$`),
    );
  }
  throwsSentence(
    () => parseLightning(withKey(doubled(-1))),
    /has the key \[\[\[.{100,250}\.\.\., not the number/,
  );
});

Deno.test("lightning: what the optimizers share is converted once, and no file has thousands of them", () => {
  const state = new Map(Array.from({ length: 3000 }, (_, i) => [`value ${i}`, i]));
  const optimizer = new Map<string, unknown>([
    ["state", new Map(Array.from({ length: 3000 }, (_, i) => [i, state]))],
    ["param_groups", new Array(3000).fill(state)],
  ]);
  const root = (optimizers: unknown) =>
    new Map<string, unknown>([
      ["state_dict", new Map([["w", new StoredTensor("float32", SCALAR, NOWHERE)]])],
      ["optimizer_states", optimizers],
    ]);
  const { optimizerStates } = parseLightning(root([[optimizer, optimizer]]));
  assert.equal(optimizerStates[0].state.get(0), optimizerStates[1].state.get(2999));
  assert.equal(optimizerStates[0].paramGroups[0], optimizerStates[1].paramGroups[2999]);
  const many = new Array(1000).fill(optimizer);
  throwsSentence(
    () => parseLightning(root(new Array(1000).fill(many))),
    /it has 1000000 optimizers, at most 100/,
  );
});

const SCALAR = { shape: [], strides: [], storageOffset: 0 };
const NOWHERE = { key: "0", byteLength: 4, tensorLimit: 4, readInto: () => {}, verify: () => {} };
