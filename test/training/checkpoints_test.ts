import assert from "node:assert/strict";
import { join } from "node:path";
import { parseLightning } from "../../src/checkpoint/lightning.ts";
import { exportEncoder } from "../../src/commands/export.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
import type { Picklable } from "../../src/checkpoint/pickle.ts";
import { ByteFile } from "../../src/files/byte_file.ts";
import { readZip } from "../../src/zip/reader.ts";
import { ZipWriter } from "../../src/zip/writer.ts";
import { resolveTrain } from "../../src/config/resolve.ts";
import type { TrainSettings } from "../../src/config/settings.ts";
import { buildModel, buildOptimizer } from "../../src/training/build.ts";
import { Checkpoints } from "../../src/training/checkpoints.ts";
import { planRun } from "../../src/training/plan.ts";
import type { Learner } from "../../src/training/step.ts";
import { counters } from "../../src/torch/scope.ts";
import { temporaryFolder } from "../made_data.ts";
import { simClr } from "../methods/made_method.ts";

/** A run of a small model that learns nothing: its first weight tells the steps that were done. */
class MadeRun implements Disposable {
  readonly settings: TrainSettings;
  readonly learner: Learner;
  readonly checkpoints: Checkpoints;

  static #current: Checkpoints | undefined;

  constructor(folder: string, more: Record<string, unknown> = {}, stepsPerEpoch = 100) {
    const settings = this.settings = resolveTrain({
      results_path: folder,
      dataset: "cifar10",
      arch: "resnet18",
      width: 4,
      hidden_mlp: 8,
      feat_dim: 8,
      manip_hidden_mlp: "8",
      optimizer: "sgd",
      batch_size: 8,
      max_epochs: 100,
      gpus: 0,
      ...more,
    });
    const model = buildModel(simClr, settings, 10, 1),
      optimizer = buildOptimizer(settings, model.namedParameters());
    this.learner = { model, optimizer, device: "cpu", precision: null };
    const { max_epochs: maxEpochs, max_steps: maxSteps, warmup_epochs: warmupEpochs } = settings;
    const plan = planRun({ count: stepsPerEpoch, globalBatch: 1, maxEpochs, maxSteps, warmupEpochs });
    this.checkpoints = new Checkpoints(settings, this.learner, plan);
    // A new run stands for a new process: the one before has given its folder back.
    MadeRun.#current?.[Symbol.dispose]();
    MadeRun.#current = this.checkpoints;
  }

  #mark() {
    return this.learner.model.stateDict().get("encoder.bn1.bias")!.detach();
  }

  get mark(): number {
    using mark = this.#mark();
    return mark.toNumbers()[0];
  }

  /** Saves after each of these steps. */
  save(...steps: number[]): this {
    for (const step of steps) {
      using mark = this.#mark();
      mark.fill_(step);
      this.checkpoints.save(step, 0.1);
    }
    return this;
  }

  [Symbol.dispose](): void {
    this.learner.model[Symbol.dispose]();
    this.learner.optimizer[Symbol.dispose]();
  }
}

/** The files of a folder but for its lock. */
const names = (folder: string) =>
  [...Deno.readDirSync(folder)].map((entry) => entry.name).filter((name) => name !== ".lock").sort();

/** Changes one byte in the middle of a file that may have other names. */
function damage(path: string): void {
  const bytes = Deno.readFileSync(path);
  bytes[bytes.length >> 1] ^= 1;
  Deno.removeSync(path);
  Deno.writeFileSync(path, bytes);
}

function stepOf(path: string): number {
  using file = readCheckpoint(path);
  file.verify();
  return parseLightning(file.root).globalStep;
}

Deno.test("checkpoints: the newest ones stay, and the newest whole one is found", () => {
  using folder = temporaryFolder();
  const before = counters();
  {
    using run = new MadeRun(folder.path, { keep: 3 });
    assert.equal(run.checkpoints.start(), 0);
    run.save(10, 20, 30, 40);
    assert.deepEqual(names(folder.path), ["last.ckpt", "step-00000020.ckpt", "step-00000030.ckpt"]);
    using next = new MadeRun(folder.path, { keep: 3, resume: true });
    assert.deepEqual([next.checkpoints.start(), next.mark], [40, 40]);
    assert.deepEqual(next.checkpoints.notes, ["Continuing after step 40, in epoch 1"]);
    damage(join(folder.path, "last.ckpt"));
    using older = new MadeRun(folder.path, { keep: 3, resume: true });
    assert.deepEqual([older.checkpoints.start(), older.mark], [30, 30]);
    assert.match(older.checkpoints.notes[0], /^Passing over a checkpoint: .*last\.ckpt: it is damaged/);
  }
  assert.deepEqual(counters(), before);
});

Deno.test("checkpoints: a damaged newest one never takes the place of a good one", () => {
  using folder = temporaryFolder();
  const last = join(folder.path, "last.ckpt"), older = join(folder.path, "step-00000010.ckpt");
  using first = new MadeRun(folder.path);
  first.checkpoints.start();
  first.save(10, 20);
  damage(last);
  using second = new MadeRun(folder.path, { resume: true });
  assert.equal(second.checkpoints.start(), 10);
  // It is stopped while it saves: what the model holds cannot be read any more.
  second.learner.model[Symbol.dispose]();
  assert.throws(() => second.checkpoints.save(15, 0.1));
  assert.equal(stepOf(older), 10, "the only whole one");
  using third = new MadeRun(folder.path, { resume: true });
  assert.equal(third.checkpoints.start(), 10);
  third.save(15);
  assert.deepEqual([stepOf(last), stepOf(older)], [15, 10]);
});

Deno.test("checkpoints: damaged older ones go when a new one is there, the best is the last resort", () => {
  using folder = temporaryFolder();
  using first = new MadeRun(folder.path, { keep: 3 }, 1);
  first.checkpoints.start();
  first.checkpoints.afterStep(10, 2.5, 0.1);
  first.save(20, 30);
  for (const name of ["last.ckpt", "step-00000020.ckpt", "step-00000010.ckpt"]) {
    damage(join(folder.path, name));
  }
  using second = new MadeRun(folder.path, { keep: 3, resume: true }, 1);
  assert.equal(second.checkpoints.start(), 10);
  assert.equal(second.checkpoints.notes.filter((note) => note.startsWith("Passing over")).length, 3);
  second.save(15);
  assert.deepEqual(names(folder.path), ["best.ckpt", "last.ckpt"]);
  // The best score was found again: a worse one does not replace it.
  second.checkpoints.afterStep(20, 3, 0.1);
  assert.equal(stepOf(join(folder.path, "best.ckpt")), 10);
  second.checkpoints.afterStep(30, 2, 0.1);
  assert.equal(stepOf(join(folder.path, "best.ckpt")), 30);
});

Deno.test("checkpoints: where none is whole nothing is started over, and nothing changed", () => {
  using folder = temporaryFolder();
  using first = new MadeRun(folder.path);
  first.checkpoints.start();
  first.save(10, 20);
  for (const name of names(folder.path)) damage(join(folder.path, name));
  const contents = () => names(folder.path).map((name) => Deno.readFileSync(join(folder.path, name)));
  const before = contents();
  using second = new MadeRun(folder.path, { resume: true });
  assert.throws(
    () => second.checkpoints.start(),
    /^Error: Cannot resume in .*: none of last\.ckpt, step-00000010\.ckpt is whole.*About the newest: .*it is damaged/,
  );
  assert.deepEqual(contents(), before);
});

Deno.test("checkpoints: whole ones that do not fit the settings are not passed over", () => {
  using folder = temporaryFolder();
  using first = new MadeRun(folder.path);
  first.checkpoints.start();
  first.save(10, 20);
  using wider = new MadeRun(folder.path, { resume: true, width: 8 });
  assert.throws(
    () => wider.checkpoints.start(),
    /^TypeError: Cannot load .*last\.ckpt into this model:\n.*--width 4/s,
  );
  for (const [name, step] of [["last.ckpt", 20], ["step-00000010.ckpt", 10]] as const) {
    assert.equal(stepOf(join(folder.path, name)), step);
  }
});

Deno.test("checkpoints: another optimiser's state is refused by name", () => {
  using folder = temporaryFolder();
  using first = new MadeRun(folder.path);
  first.checkpoints.start();
  const { optimizer } = first.learner;
  for (const [name, parameter] of optimizer.groups[0].parameters) optimizer.state(name, parameter);
  first.save(10);
  for (
    const [other, message] of [["adam", /remembers momentum_buffer, .* exp_avg/], [
      "lars",
      /holds 1 optimisers/,
    ]]
  ) {
    using second = new MadeRun(folder.path, { resume: true, optimizer: other });
    assert.throws(() => second.checkpoints.start(), message as RegExp);
  }
});

Deno.test("checkpoints: a run that starts anew moves an earlier one's files aside, whole", () => {
  using folder = temporaryFolder();
  const aside = join(folder.path, "earlier-1");
  using first = new MadeRun(folder.path);
  first.checkpoints.start();
  first.save(10, 20);
  const kept = ["metrics.jsonl", "flags.json", "events.out.tfevents.1.stec.000"];
  for (const name of [...kept, "notes.txt"]) Deno.writeTextFileSync(join(folder.path, name), name);
  using second = new MadeRun(folder.path);
  assert.deepEqual([second.checkpoints.start(), names(folder.path)], [0, ["earlier-1", "notes.txt"]]);
  assert.match(second.checkpoints.notes[0], /^Moved the files of an earlier run, .* to .*earlier-1$/);
  assert.deepEqual(names(aside), [...kept, "last.ckpt", "step-00000010.ckpt"].sort());
  assert.equal(stepOf(join(aside, "last.ckpt")), 20);
  second.save(5);
  // One that continues a file of the folder finds it where it went.
  using third = new MadeRun(folder.path, { ckpt_path: join(folder.path, "last.ckpt") });
  assert.equal(third.checkpoints.start(), 5);
  assert.equal(third.checkpoints.rollBack(), 5);
  third.save(6);
  assert.deepEqual(names(folder.path), ["earlier-1", "earlier-2", "last.ckpt", "notes.txt"]);
});

Deno.test("checkpoints: a folder that is removed during the run is an error, and is not made again", () => {
  using folder = temporaryFolder();
  const results = join(folder.path, "a", "results");
  using run = new MadeRun(results);
  run.checkpoints.start();
  run.save(10);
  Deno.removeSync(join(folder.path, "a"), { recursive: true });
  assert.throws(() => run.save(20), /results: the folder was removed or replaced during the run/);
  assert.deepEqual(names(folder.path), []);
});

Deno.test("checkpoints: a process killed between two files leaves nothing that stays", () => {
  using folder = temporaryFolder();
  const last = join(folder.path, "last.ckpt"), older = join(folder.path, "step-00000010.ckpt");
  using first = new MadeRun(folder.path);
  first.checkpoints.start();
  first.save(10);
  // It was killed when the newest had got its second name, in another save while it wrote that name, and so on.
  Deno.linkSync(last, older);
  const left = ["last.ckpt.tmp-7", "step-00000005.ckpt.tmp-7", "best.ckpt.tmp-7", "metrics.jsonl.tmp-7"];
  for (const name of left) Deno.writeTextFileSync(join(folder.path, name), "");
  using second = new MadeRun(folder.path, { resume: true });
  assert.equal(second.checkpoints.start(), 10);
  assert.deepEqual(names(folder.path), ["last.ckpt", "step-00000010.ckpt"]);
  second.save(20);
  assert.deepEqual(names(folder.path), ["last.ckpt", "step-00000010.ckpt"]);
  assert.deepEqual([stepOf(last), stepOf(older)], [20, 10]);
});

Deno.test("checkpoints: with another number of steps an epoch it goes on at the same place of the epoch", () => {
  using folder = temporaryFolder();
  using first = new MadeRun(folder.path, {}, 100);
  first.checkpoints.start();
  first.save(250);
  for (const [stepsPerEpoch, step, epoch] of [[50, 125, 3], [99, 247, 3], [200, 500, 3], [100, 250, 3]]) {
    using run = new MadeRun(
      folder.path,
      { resume: true, batch_size: Math.ceil(800 / stepsPerEpoch) },
      stepsPerEpoch,
    );
    assert.equal(run.checkpoints.start(), step);
    assert.equal(run.checkpoints.rollBack(), step);
    assert.equal(run.checkpoints.notes[0], `Continuing after step ${step}, in epoch ${epoch}`);
    assert.equal(run.checkpoints.notes.length, stepsPerEpoch === 100 ? 1 : 3);
  }
});

Deno.test("checkpoints: it says which settings are others than before, and when nothing is left to do", () => {
  using folder = temporaryFolder();
  using first = new MadeRun(folder.path);
  first.checkpoints.start();
  first.save(250);
  using second = new MadeRun(folder.path, { resume: true, learning_rate: 2, max_epochs: 2, save_every: 7 });
  assert.equal(second.checkpoints.start(), 250);
  assert.deepEqual(second.checkpoints.notes, [
    "Nothing is left to train after step 250 of 200",
    `Going on with other settings than before: --learning_rate 2 (was ${first.settings.learning_rate}), ` +
    "--max_epochs 2 (was 100)",
  ]);
});

Deno.test("checkpoints: going back forgets what the optimiser learnt since", () => {
  using folder = temporaryFolder();
  using run = new MadeRun(folder.path);
  run.checkpoints.start();
  run.save(10);
  const { optimizer } = run.learner;
  for (const [name, parameter] of optimizer.groups[0].parameters) {
    optimizer.state(name, parameter).momentum_buffer.fill_(7);
  }
  assert.equal(run.checkpoints.rollBack(), 10);
  for (const { momentum_buffer } of optimizer.states().values()) {
    assert.ok(momentum_buffer.toNumbers().every((value) => value === 0), "the checkpoint has no momentum");
  }
});

type Tree = Map<string, Picklable>;

/** Writes a checkpoint anew, with something else in it. */
function rewrite(path: string, change: (root: Tree) => void): void {
  {
    using file = readCheckpoint(path);
    change(file.root as Tree);
    writeCheckpoint(`${path}.new`, file.root as Tree);
  }
  Deno.renameSync(`${path}.new`, path);
}

/** Puts lists that double at every level, 2^60 numbers when unfolded, in the place of the seed in the settings. */
function doubleTheSeed(path: string): void {
  const memo = (opcode: string, i: number) => `${opcode}${String.fromCharCode(i)}\0\0\x7f`;
  let doubled = `K\x01\x85${memo("r", 0)}`;
  for (let i = 0; i < 60; i++) doubled += `0${memo("j", i)}${memo("j", i)}\x86${memo("r", i + 1)}`;
  {
    using file = new ByteFile(path);
    using target = Deno.openSync(`${path}.new`, { write: true, create: true });
    const zip = new ZipWriter(target);
    for (const [name, entry] of readZip(file)) {
      const text = Array.from(entry.read(), (byte) => String.fromCharCode(byte)).join("");
      const changed = name.endsWith("data.pkl")
        ? text.replace(/seed(q.|r....)K\*/s, (_, noted) => `seed${noted}${doubled}`)
        : text;
      zip.add(name, changed.length, [Uint8Array.from(changed, (each) => each.charCodeAt(0))]);
    }
    zip.finish();
  }
  Deno.renameSync(`${path}.new`, path);
}

Deno.test("checkpoints: settings that unfold to more than any memory are compared and shown in bounds", () => {
  using folder = temporaryFolder();
  const last = join(folder.path, "last.ckpt");
  using first = new MadeRun(folder.path);
  first.checkpoints.start();
  first.save(10);
  doubleTheSeed(last);
  using second = new MadeRun(folder.path, { resume: true });
  assert.equal(second.checkpoints.start(), 10);
  assert.match(
    second.checkpoints.notes[1],
    /^Going on with other settings than before: --seed 42 \(was \[\[\[\[.{100,250}\.\.\.\)$/,
  );
});

Deno.test("checkpoints: numbers that no run writes are refused by name, and an older checkpoint is taken", () => {
  const cases = [
    ["steps_per_epoch", NaN, "a whole number of at least 1"],
    ["steps_per_epoch", 0, "a whole number of at least 1"],
    ["steps_per_epoch", -1, "a whole number of at least 1"],
    ["steps_per_epoch", 0.5, "a whole number of at least 1"],
    ["steps_per_epoch", "100", "a whole number of at least 1"],
    ["best_score", NaN, "a number"],
    ["best_score", -Infinity, "a number"],
  ] as const;
  using folder = temporaryFolder();
  const last = join(folder.path, "last.ckpt");
  using first = new MadeRun(folder.path);
  first.checkpoints.start();
  first.save(10, 20);
  for (const [name, value, expected] of cases) {
    rewrite(last, (root) => {
      (root.get("stec") as Tree).set("steps_per_epoch", 100).set("best_score", null).set(name, value);
    });
    using second = new MadeRun(folder.path, { resume: true });
    assert.equal(second.checkpoints.start(), 10);
    const sentence = `Cannot continue from ${last}: its ${name} is ${value}, not ${expected}`;
    assert.equal(second.checkpoints.notes[0], `Passing over a checkpoint: ${sentence}`);
    using other = temporaryFolder();
    using third = new MadeRun(other.path, { ckpt_path: last });
    assert.throws(() => third.checkpoints.start(), { name: "TypeError", message: sentence });
  }
});

Deno.test("checkpoints: Adam's count of steps is a whole number, or the checkpoint is refused", () => {
  using folder = temporaryFolder();
  using first = new MadeRun(folder.path, { optimizer: "adam" });
  first.checkpoints.start();
  const { optimizer } = first.learner;
  for (const [name, parameter] of optimizer.groups[0].parameters) optimizer.state(name, parameter);
  first.save(10);
  for (const step of [NaN, -1, 0.5]) {
    rewrite(join(folder.path, "last.ckpt"), (root) => {
      const [{ state }] = (root.get("optimizer_states") as Tree[]).map((each) => Object.fromEntries(each));
      for (const values of (state as unknown as Map<number, Tree>).values()) values.set("step", step);
    });
    using second = new MadeRun(folder.path, { optimizer: "adam", resume: true });
    assert.throws(
      () => second.checkpoints.start(),
      new RegExp(`optimizer has done ${step} steps on encoder\\.conv1\\.weight, not a whole number$`),
    );
  }
});

Deno.test("checkpoints: a file of weights alone, of any form, starts a run that has its encoder", () => {
  using folder = temporaryFolder();
  const results = join(folder.path, "results"), exported = join(folder.path, "encoder.safetensors");
  using first = new MadeRun(folder.path);
  first.checkpoints.start();
  first.save(10);
  exportEncoder(join(folder.path, "last.ckpt"), "safetensors", exported);
  using second = new MadeRun(results, { ckpt_path: exported });
  assert.deepEqual([second.checkpoints.start(), second.mark], [0, 10]);
  assert.deepEqual(second.checkpoints.notes, [
    `The encoder of ${exported} is the one without a prefix`,
    `Took the weights of ${exported} except projection and binned_prediction_model and supervised_head, ` +
    "which start with fresh weights; the optimizer and the epochs start anew",
  ]);
});
