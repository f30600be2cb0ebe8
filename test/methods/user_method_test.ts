import assert from "node:assert/strict";
import { join } from "node:path";
import { resolveEval, resolveProbe } from "../../src/config/resolve.ts";
import { evaluate } from "../../src/commands/eval.ts";
import { UsageError } from "../../src/base/errors.ts";
import { hashUserMethod, loadUserMethod } from "../../src/methods/user_method.ts";
import { probe } from "../../src/commands/probe.ts";
import { REPOSITORY } from "../../src/setup/environment.ts";
import { train } from "../../src/commands/train.ts";
import { loggedMetrics, loggedSteps, Run } from "../distributed/runs.ts";
import { temporaryFolder, writeCifar } from "../made_data.ts";
import { assertSameState, plainMetrics } from "../run_files.ts";
import { small } from "../small_run.ts";
import { contextOf, PREDICTIVE_SETTINGS } from "./made_method.ts";

const EXAMPLE = join(REPOSITORY, "examples", "byol_from_scratch.ts");
const signal = new AbortController().signal;

Deno.test("a user's method: the example trains, resumes to the bit, and notes a changed module", async () => {
  using folder = writeCifar({ train: 40, test: 10 });
  const [whole, parts] = ["whole", "parts"].map((name) => join(folder.path, name));
  const method = join(folder.path, "my_method.ts");
  // It runs as often as it is loaded, which must not be in the process that may start others.
  const guard =
    `if ((await Deno.permissions.query({ name: "run" })).state === "granted") throw new Error("too early");`;
  Deno.writeTextFileSync(method, `${Deno.readTextFileSync(EXAMPLE)}\n${guard}\n`);
  const flags = (more: string) =>
    `--method ${method} --set ema_base=0.9 --batch_size 8 --learning_rate .05 --save_every 1 ${more}`;
  const run = async (results: string, more: string) => {
    const { code, errors } = await new Run({ data: folder.path, results, flags: flags(more) }).end();
    assert.equal(code, 0, errors);
    return errors;
  };
  await run(whole, "--max_epochs 2");
  await run(parts, "--max_epochs 2 --max_steps 4");
  Deno.writeTextFileSync(method, "// A remark.\n", { append: true });
  const said = await run(parts, "--max_epochs 2 --resume");
  assert.ok(said.includes(`${method} has changed since the checkpoint was written`), said);
  const state = (folder: string) => plainMetrics(folder).filter((line) => "train/loss" in line);
  assert.deepEqual(state(parts), state(whole));
  for (const name of ["train/discrimination_loss", "train/manip_loss", "train/supervised_accuracy"]) {
    assert.ok(loggedMetrics(whole).every((line) => Number.isFinite(line[name])), name);
  }
  const ckpt_path = join(parts, "last.ckpt");
  const data = { dataset: "cifar10", data_dir: folder.path, ckpt_path, gpus: 0 };
  const { accuracy } = await evaluate(
    resolveEval({ ...data, arch: "resnet18", width: 4, first_conv: 1, maxpool1: 1, method }),
    () => {},
  );
  const quiet = { say: () => {}, step: () => {} };
  assert.equal((await probe(resolveProbe({ ...data, batch_size: 20 }), quiet)).online, accuracy);
});

Deno.test("a user's method: two processes learn from the batch what one learns", async () => {
  using folder = writeCifar({ train: 32, test: 4 });
  const [one, two] = ["one", "two"].map((name) => join(folder.path, name));
  const flags = `--method ${EXAMPLE} --max_epochs 2 --learning_rate 1e-3`;
  const runs = [
    new Run({ data: folder.path, results: one, flags: `${flags} --batch_size 16` }),
    new Run({ data: folder.path, results: two, flags: `${flags} --batch_size 8 --processes 2` }),
  ];
  for (const run of runs) {
    const { code, errors } = await run.end();
    assert.equal(code, 0, errors);
  }
  assert.deepEqual(loggedSteps(two), [0, 1, 2, 3, 4]);
  for (const [i, metrics] of loggedMetrics(two).entries()) {
    const difference = Math.abs(metrics["train/loss"] - loggedMetrics(one)[i]["train/loss"]);
    assert.ok(difference < 1e-4, `step ${i + 1} differs by ${difference}`);
  }
});

Deno.test("a user's method: the example is the program's BYOL", async () => {
  using folder = writeCifar({ train: 40, test: 4 });
  const [own, users] = ["own", "users"].map((name) => join(folder.path, name));
  // BYOL has other defaults for these than a module.
  const views = { gaussian_blur_prob: 0, solarization_prob: 0 };
  const more = { max_epochs: 1, discrimination_lambda: 1, supervised_lambda: 0, manip_lambda: 0, ...views };
  await train(small(folder.path, own, { ...more, method: "byol", seed: 3 }), { signal });
  await train(small(folder.path, users, { ...more, method: EXAMPLE, seed: 3 }), { signal });
  const losses = (folder: string) => loggedMetrics(folder).map((line) => line["train/discrimination_loss"]);
  losses(users).forEach((loss, i) => assert.ok(Math.abs(loss - losses(own)[i]) < 1e-4, `${loss}`));
  assert.throws(() => assertSameState(own, users), "the hash differs");
});

/** Modules that cannot be used, the values that are set, and why. */
const WRONG: readonly [source: string, set: readonly string[], why: RegExp][] = [
  ["export const x = 1;", [], /it must export a function build\(settings, context\), its build is missing$/],
  ["export const build = 1;", [], /its build is a number$/],
  ["export const flags = {}; export const build = () => 1;", [], /its export flags must be an object of zod/],
  ["const x: number = ;", [], /^Cannot load --method .*: /],
  ["throw new Error('no');", [], /^Cannot load --method .*: no$/],
  ["export const build = () => 1;", ["a=1"], /^Cannot use --set a=1 with --method .*: it has no flags$/],
  [
    "import { z } from 'zod'; export const flags = z.object({ b: z.string() }); export const build = () => 1;",
    [],
    /^Cannot use --method .* without --set b=\.\.\.: /,
  ],
  [
    "import { z } from 'zod'; export const flags = z.object({ b: z.coerce.number() }); export const build = () => 1;",
    ["b=x"],
    /^Cannot use --set b=x: /,
  ],
];

/** Modules whose `build` returns what is no method, and why. */
const WRONG_RESULTS: readonly [source: string, why: RegExp][] = [
  ["export const build = () => 1;", /its build must return a Module; it returns a number$/],
  ["export const build = async () => 1;", /its build must return a Module; it returns a promise$/],
  [
    "import { ReLU } from '@stec/stec'; export const build = () => new ReLU();",
    /its encoder must be one that context\.makeEncoder\(\) makes; it is missing$/,
  ],
  [
    "import { ReLU } from '@stec/stec'; export const build = (_: unknown, { makeEncoder }: any) => " +
    "Object.assign(new ReLU(), { encoder: makeEncoder() });",
    /its losses must be a function losses\(batch, peers\); it is missing$/,
  ],
];

Deno.test("a user's method: a module that cannot be used is refused in one sentence", async () => {
  using folder = temporaryFolder();
  const write = (name: string, source: string) => {
    const path = join(folder.path, name);
    Deno.writeTextFileSync(path, source);
    return path;
  };
  const isRight = (why: RegExp) => (error: Error) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.match(error.message, why);
    assert.ok(!error.message.includes("\n"), error.message);
    return true;
  };
  await assert.rejects(
    loadUserMethod("none.ts", []),
    isRight(/^Cannot load --method none\.ts: there is no such file$/),
  );
  for (const [i, [source, set, why]] of WRONG.entries()) {
    await assert.rejects(loadUserMethod(write(`wrong${i}.ts`, source), set), isRight(why));
  }
  for (const [i, [source, why]] of WRONG_RESULTS.entries()) {
    const build = await loadUserMethod(write(`result${i}.ts`, source), []);
    assert.throws(() => build(PREDICTIVE_SETTINGS, contextOf({ width: 4 })), isRight(why));
  }
});

Deno.test("hashUserMethod: is the SHA-256 of the source", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "empty.ts");
  Deno.writeTextFileSync(path, "");
  assert.equal(
    await hashUserMethod(path),
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
});
