import assert from "node:assert/strict";
import { join } from "node:path";
import { resolveEval, resolveProbe } from "../../src/config/resolve.ts";
import { evaluate } from "../../src/commands/eval.ts";
import { describeProbe, probe } from "../../src/commands/probe.ts";
import { counters } from "../../src/torch/scope.ts";
import { writeCifar, writeCifar100, writeImageNet, writeStl10 } from "../made_data.ts";
import { writeModel } from "../made_model.ts";

const SILENT = { say: () => {}, step: () => {} };

Deno.test("probe: reports a linear probe, both k-NN and what eval says, and frees what it used", async () => {
  using folder = writeCifar({ train: 60, test: 20 });
  const ckpt_path = join(folder.path, "a.ckpt"), results_path = join(folder.path, "results");
  writeModel(ckpt_path);
  const flags = { dataset: "cifar10", data_dir: folder.path, ckpt_path, batch_size: 16, gpus: 0 };
  const said: string[] = [], before = counters();
  const progress = { say: (text: string) => said.push(text), step: () => {} };
  const result = await probe(resolveProbe({ ...flags, results_path }), progress);
  assert.deepEqual(counters(), before);
  assert.deepEqual(result.neighbours.map(({ count }) => count), [200, 20]);
  assert.deepEqual([result.features, result.trainImages, result.testImages], [32, 60, 20]);
  for (const { accuracy } of [result.linear, ...result.neighbours]) {
    assert.ok(Number.isInteger(Math.round(accuracy * 2e4) / 1e3), `${accuracy} is no share of 20 images`);
  }
  const { accuracy } = await evaluate(resolveEval(flags), () => {});
  assert.equal(result.online, accuracy);
  assert.deepEqual(JSON.parse(Deno.readTextFileSync(join(results_path, "probe_results.json"))), result);
  assert.equal(
    JSON.parse(Deno.readTextFileSync(join(results_path, "probe_flags.json"))).ckpt_path,
    ckpt_path,
  );
  const lines = describeProbe(result).split("\n");
  assert.equal(lines.length, 5);
  for (const [i, label] of ["linear probe", "k-NN, k = 200", "k-NN, k = 20", "online probe"].entries()) {
    assert.match(lines[i + 1], new RegExp(`^  ${label} +[01]\\.\\d{4}  \\(`));
  }
});

Deno.test("probe: a head for other classes is not used, the rest is", async () => {
  using folder = writeCifar100({ train: 30, test: 10 });
  const ckpt_path = join(folder.path, "a.ckpt");
  writeModel(ckpt_path, { classes: 10 });
  const flags = { dataset: "cifar100", data_dir: folder.path, ckpt_path, batch_size: 16, gpus: 0 };
  const result = await probe(resolveProbe(flags), SILENT);
  assert.equal(result.online, null);
  assert.match(
    describeProbe(result),
    /online probe {4}none {4}\(the checkpoint has none for these classes\)$/,
  );
});

Deno.test("probe: the same seed gives the same result", async () => {
  using folder = writeCifar({ train: 40, test: 10 });
  const ckpt_path = join(folder.path, "a.ckpt");
  writeModel(ckpt_path);
  const settings = resolveProbe({
    dataset: "cifar10",
    data_dir: folder.path,
    ckpt_path,
    batch_size: 16,
    gpus: 0,
  });
  assert.deepEqual(await probe(settings, SILENT), await probe(settings, SILENT));
});

Deno.test("probe: the labelled images of STL-10, and ImageNet's files, are probed as well", async () => {
  const counts = { train: 12, test: 6 };
  for (
    const [dataset, made, more] of [
      ["stl10", writeStl10({ ...counts, unlabeled: 3 }), {}],
      ["imagenet", await writeImageNet(counts), { image_size: 32, num_workers: 0 }],
    ] as const
  ) {
    using folder = made;
    const ckpt_path = join(folder.path, "a.ckpt");
    writeModel(ckpt_path, { classes: dataset === "stl10" ? 10 : 2 });
    const flags = { dataset, data_dir: folder.path, ckpt_path, batch_size: 5, gpus: 0, ...more };
    const result = await probe(resolveProbe(flags), SILENT);
    // A tenth of ImageNet's images, rounded up in each of the two classes, is held out.
    assert.equal(result.trainImages, dataset === "stl10" ? 12 : 10);
    assert.equal(result.testImages, 6);
    assert.ok(result.online !== null);
  }
});

Deno.test("probe: images without labels are refused", async () => {
  using folder = await writeImageNet({ train: 4, test: 2 });
  const ckpt_path = join(folder.path, "a.ckpt"), data_dir = join(folder.path, "train", "n01440764");
  writeModel(ckpt_path);
  const flags = { dataset: "folder", data_dir, ckpt_path, image_size: 32, num_workers: 0, gpus: 0 };
  await assert.rejects(
    probe(resolveProbe(flags), SILENT),
    /^TypeError: Cannot probe folder: its images have no labels$/,
  );
});

Deno.test("probe: files that cannot be decoded are named", async () => {
  using folder = await writeImageNet({ train: 12, test: 4 });
  const ckpt_path = join(folder.path, "a.ckpt");
  writeModel(ckpt_path);
  Deno.writeTextFileSync(join(folder.path, "val", "n01440764", "text.JPEG"), "no image");
  const flags = {
    dataset: "imagenet",
    data_dir: folder.path,
    ckpt_path,
    image_size: 32,
    num_workers: 0,
    gpus: 0,
  };
  const said: string[] = [];
  const result = await probe(resolveProbe(flags), { say: (text) => said.push(text), step: () => {} });
  assert.equal(result.testImages, 4);
  assert.ok(said.some((text) => text.includes("text.JPEG")), said.join("\n"));
});
