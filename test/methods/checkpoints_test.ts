import assert from "node:assert/strict";
import { join } from "node:path";
import { exportEncoder } from "../../src/commands/export.ts";
import { parseLightning } from "../../src/checkpoint/lightning.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { resolveEval, resolvePreview, resolveProbe } from "../../src/config/resolve.ts";
import { evaluate } from "../../src/commands/eval.ts";
import { preview } from "../../src/commands/preview.ts";
import { probe } from "../../src/commands/probe.ts";
import { train } from "../../src/commands/train.ts";
import { writeCifar } from "../made_data.ts";
import { small } from "../small_run.ts";

const signal = new AbortController().signal;
const QUIET = { say: () => {}, step: () => {} };

/** The values of a tensor of a checkpoint. */
function valuesOf(path: string, name: string): Uint8Array {
  using file = readCheckpoint(path);
  return parseLightning(file.root, path).stateDict.get(name)!.read();
}

for (const method of ["byol", "relic"]) {
  Deno.test(`${method}: evaluation, probe, preview and export take the online encoder of a checkpoint`, async () => {
    using folder = writeCifar({ train: 40, test: 10 });
    const results = join(folder.path, "results"), ckpt_path = join(results, "last.ckpt");
    const { test } = await train(small(folder.path, results, { method, max_epochs: 1 }), { signal });
    const flags = {
      ...{ dataset: "cifar10", data_dir: folder.path, ckpt_path, gpus: 0 },
      ...{ arch: "resnet18", width: 4, first_conv: 1, maxpool1: 1 },
    };
    const { accuracy, loss } = await evaluate(resolveEval(flags), () => {});
    assert.equal(accuracy, test!.accuracy);
    assert.ok(Math.abs(loss - test!.loss) < 1e-5, `${loss}, wanted ${test!.loss}`);
    const probed = await probe(resolveProbe({ ...flags, batch_size: 20 }), QUIET);
    assert.deepEqual([probed.features, probed.online], [32, accuracy]);
    const page = join(folder.path, "page.html");
    const { pairs } = await preview(resolvePreview({ ...flags, output: page, count: 2 }), () => {});
    assert.ok(pairs.every(({ entries }) => entries.every(({ probabilities }) => probabilities !== null)));
    const exported = join(folder.path, "encoder.safetensors");
    exportEncoder(ckpt_path, "safetensors", exported);
    using file = readSafetensors(exported);
    assert.deepEqual(
      file.tensors.get("layer1.0.conv1.weight")!.read(),
      valuesOf(ckpt_path, "encoder.layer1.0.conv1.weight"),
    );
    const online = valuesOf(ckpt_path, "encoder.conv1.weight");
    assert.notDeepEqual(valuesOf(ckpt_path, "target_encoder.conv1.weight"), online);
  });

  Deno.test(`${method}: linear evaluation starts from its encoder, and a new run from SimCLR's`, async () => {
    using folder = writeCifar({ train: 40, test: 10 });
    const [first, linear, simclr, next] = ["a", "b", "c", "d"].map((name) => join(folder.path, name));
    await train(small(folder.path, first, { method, max_epochs: 1 }), { signal });
    const more = { max_steps: 2, max_epochs: 1, reinitialize_supervised_head: 1, optimizer: "sgd" };
    const frozen = { ...more, stop_gradient: 2, ckpt_path: join(first, "last.ckpt"), method };
    await train(small(folder.path, linear, frozen), { signal });
    const weight = (folder: string, name: string) => valuesOf(join(folder, "last.ckpt"), name);
    assert.deepEqual(weight(linear, "encoder.conv1.weight"), weight(first, "encoder.conv1.weight"));
    await train(small(folder.path, simclr, { max_epochs: 1 }), { signal });
    const started = { ...more, ckpt_path: join(simclr, "last.ckpt"), method, learning_rate: 0 };
    await train(small(folder.path, next, started), { signal });
    // Nothing was learned, so both are SimCLR's still, but for rounding in the moving average.
    const floats = (bytes: Uint8Array) => new Float32Array(new Uint8Array(bytes).buffer);
    const expected = floats(weight(simclr, "encoder.conv1.weight"));
    for (const name of ["encoder", "target_encoder"]) {
      const found = floats(weight(next, `${name}.conv1.weight`));
      assert.ok(found.every((value, i) => Math.abs(value - expected[i]) < 1e-6), name);
    }
  });
}
