import assert from "node:assert/strict";
import { join } from "node:path";
import { exportEncoder } from "../../src/commands/export.ts";
import { evaluate } from "../../src/commands/eval.ts";
import { resolveEval } from "../../src/config/resolve.ts";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { openWeights } from "../../src/checkpoint/weights.ts";
import { source } from "../checkpoint/files.ts";
import { writeCifar, writeCifar100 } from "../made_data.ts";
import { writeModel } from "../made_model.ts";

const flagsOf = (data_dir: string, ckpt_path: string, more = {}) =>
  resolveEval({ dataset: "cifar10", data_dir, ckpt_path, batch_size: 16, gpus: 0, ...more });

Deno.test("eval: the networks are the checkpoint's, under any names and in any form", async () => {
  using folder = writeCifar({ train: 30, test: 20 });
  const path = join(folder.path, "a.ckpt"), wrapped = join(folder.path, "b.safetensors");
  writeModel(path);
  {
    using file = openWeights(path);
    const renamed = [...file.stateDict].map(([name, tensor]) =>
      [`module.${name.replace("encoder.", "encoder_q.")}`, tensor] as const
    );
    writeSafetensors(wrapped, new Map(renamed));
  }
  const notes: string[] = [];
  const first = await evaluate(flagsOf(folder.path, path, { maxpool1: 1 }), (note) => notes.push(note));
  const second = await evaluate(flagsOf(folder.path, wrapped, { maxpool1: 1 }), (note) => notes.push(note));
  assert.deepEqual(second, first);
  assert.deepEqual(notes, [`The encoder of ${wrapped} is module.encoder_q`]);
});

Deno.test("eval: a file without a head, or with one for other classes, is refused in one sentence", async () => {
  using folder = writeCifar({ train: 30, test: 20 });
  using hundred = writeCifar100({ train: 30, test: 10 });
  const path = join(folder.path, "a.ckpt"), encoder = join(folder.path, "encoder.safetensors");
  writeModel(path);
  exportEncoder(path, "safetensors", encoder);
  await assert.rejects(evaluate(flagsOf(folder.path, encoder), () => {}), {
    message: `Cannot test ${encoder}: it has no supervised head. probe measures its features without one`,
  });
  await assert.rejects(
    evaluate(flagsOf(hundred.path, path, { dataset: "cifar100" }), () => {}),
    /^TypeError: Cannot test .*a\.ckpt on .*: its supervised head has 10 classes, the images have 100$/,
  );
});

Deno.test("eval: weights that are not finite are an error that names the layer", async () => {
  using folder = writeCifar({ train: 30, test: 20 });
  const path = join(folder.path, "a.ckpt"), broken = join(folder.path, "b.safetensors");
  writeModel(path);
  {
    using file = openWeights(path);
    const name = "encoder.layer3.0.bn1.running_mean", [channels] = file.stateDict.get(name)!.shape;
    const numbers = new Array(channels).fill(Infinity);
    writeSafetensors(broken, new Map([...file.stateDict, [name, source("float32", [channels], numbers)]]));
  }
  await assert.rejects(
    evaluate(flagsOf(folder.path, broken), () => {}),
    /^TypeError: Cannot use .*b\.safetensors: encoder\.layer3\.0\.bn1\.running_mean is not finite$/,
  );
});
