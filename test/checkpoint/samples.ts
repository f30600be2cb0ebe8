/**
 * What the tests write: small, of every kind, the same every time. Real PyTorch has opened the files that come of it
 * (scripts/check_with_pytorch.py), and the tests compare with those files byte by byte.
 */

import type { LightningCheckpoint } from "../../src/checkpoint/lightning.ts";
import { type Picklable, PickleFloat } from "../../src/checkpoint/pickle.ts";
import { ITEM_BYTES, type StoredDType, type TensorSource } from "../../src/checkpoint/stored_tensor.ts";
import { source } from "./files.ts";

/** Tensors of every type, and of the shapes that are special. */
export function sampleTensors(): Map<string, TensorSource> {
  const types = Object.keys(ITEM_BYTES) as StoredDType[];
  const tensors = new Map<string, TensorSource>(
    types.map((dtype) => [`of ${dtype}`, source(dtype, [2, 3], [0, 1, 1, 0, 1, 1])]),
  );
  tensors.set("numbers", source("float32", [2, 2], [-1.5, 3.25, 1e30, -0]));
  tensors.set("not finite", source("float64", [3], [Infinity, -Infinity, NaN]));
  tensors.set("halves", source("float16", [3], [0.5, -65504, 2 ** -24]));
  tensors.set("brain halves", source("bfloat16", [2], [-2, 1.0078125]));
  tensors.set("wide", source("int64", [2], [-(2 ** 40), 2 ** 52]));
  tensors.set("negative", source("int8", [2], [-128, 127]));
  tensors.set("scalar", source("int64", [], [-7]));
  tensors.set("empty", source("float32", [0, 4], []));
  tensors.set("many dimensions", source("int16", [1, 2, 1, 3, 1], [1, -2, 3, -4, 5, -6]));
  return tensors;
}

/** Plain data of every kind. */
export function sampleValues(): Picklable {
  const shared = source("float32", [2], [1, 2]);
  return new Map<Picklable, Picklable>([
    ["none", null],
    ["yes and no", [true, false]],
    ["ints", [0, 1, 255, 256, 65535, 65536, -1, -128, -129, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 2 ** 53 - 1]],
    ["long", [-(2n ** 63n), 2n ** 64n, 123456789012345678901234567890n, -1n, 128n, -129n]],
    ["floats", [0.1, -2.5, 1e300, Infinity, -Infinity, new PickleFloat(4), -0]],
    ["texts", ["", "plain", "größe 日本 🎈", "torch\nFloatStorage\n", "text torch.FloatStorage"]],
    ["bytes", Uint8Array.of(0, 127, 128, 255)],
    ["tuple", Object.freeze([1, Object.freeze(["a", Object.freeze([])])])],
    [
      "dict",
      new Map<Picklable, Picklable>([[0, "zero"], [2, "two"], ["2", "text"], [
        Object.freeze([1, 2]),
        "pair",
      ]]),
    ],
    ["object", { a: { b: [] }, empty: {} }],
    ["the same tensor", [shared, shared]],
    ["many", Array.from({ length: 300 }, (_, i) => `number ${i}`)],
    ["and again", Array.from({ length: 300 }, (_, i) => `number ${i}`)],
  ]);
}

/** A checkpoint in Lightning's layout of a model with four tensors. */
export function sampleCheckpoint(): LightningCheckpoint {
  const group = (params: readonly number[]) => ({
    lr: 4,
    momentum: 0.9,
    weight_decay: 1e-6,
    nesterov: false,
    params,
  });
  return {
    epoch: 2,
    globalStep: 1000,
    stateDict: new Map([
      ["layer.weight", source("float32", [3, 2], [1, 2, 3, 4, 5, 6])],
      ["layer.bias", source("float32", [3], [0.5, -0.5, 0])],
      ["bn.running_mean", source("float32", [3], [0.1, 0.2, 0.3])],
      ["bn.num_batches_tracked", source("int64", [], [1000])],
    ]),
    hyperParameters: { arch: "resnet18", learning_rate: 4, first_conv: false, hidden_mlp: 512, comment: "ü" },
    optimizerStates: [
      { state: new Map(), paramGroups: [group([0])] },
      {
        state: new Map([[0, new Map([["momentum_buffer", source("float32", [3], [7, 8, 9])]])]]),
        paramGroups: [group([0])],
      },
    ],
    lrSchedulers: [{ base_lrs: [4, 4], last_epoch: 1000, _step_count: 1001 }],
    callbacks: { ModelCheckpoint: { monitor: "val/loss", best_model_score: 1.25 } },
    stec: { stepInEpoch: 12, bestScore: null, seed: 42, settings: { width: 64, list: [1, 2.5, "x", true] } },
  };
}
