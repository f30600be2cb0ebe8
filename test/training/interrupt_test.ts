/** Runs that are stopped and killed through the command line, as the tasks start them. */

import assert from "node:assert/strict";
import { join } from "node:path";
import project from "../../deno.json" with { type: "json" };
import { parseLightning } from "../../src/checkpoint/lightning.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { denoCommand } from "../../src/launch/launch.ts";
import { Random } from "../../src/base/random.ts";
import { REPOSITORY } from "../../src/setup/environment.ts";
import { writeCifar } from "../made_data.ts";
import { assertSameState, metrics, plainMetrics } from "../run_files.ts";

/** 40 epochs of 5 steps, of a model that is small in every respect. */
const FLAGS =
  `--dataset cifar10 --arch resnet18 --width 4 --hidden_mlp 16 --feat_dim 8 --manip_hidden_mlp 16 --batch_size 8
  --first_conv 1 --maxpool1 1 --manip_lambda 1 --temperature .5 --learning_rate .1 --max_epochs 40 --gpus 0
  --log_every 1 --save_every 7 --resume`.split(/\s+/);
const STEPS = 200;

/** A run as `deno task train` starts it, but for its set-up; `launched` leaves out the process between. */
class Run {
  readonly process: Deno.ChildProcess;
  readonly #results: string;
  readonly #errors: Promise<string>;
  #ended = false;

  constructor(data: string, results: string, more: readonly string[], launched = false) {
    const [, ...words] = project.tasks.train.command.split(" ");
    const task = launched ? ["run", "-A", "cli.ts", "train"] : words;
    this.#results = results;
    this.process = new Deno.Command(denoCommand(), {
      args: [...task, ...FLAGS, ...more, "--data_dir", data, "--results_path", results],
      cwd: REPOSITORY,
      env: { OMP_NUM_THREADS: "1", STEC_DEBUG: "0", ...(launched && { STEC_LAUNCHED: "1" }) },
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#errors = new Response(this.process.stderr).text();
    this.process.status.then(() => this.#ended = true);
  }

  /** Waits until the log has a step, or the run is at its end. */
  async reach(step: number): Promise<void> {
    while (!this.#ended && loggedStep(this.#results) < step) await pause(5);
  }

  /** Its status when it, and whatever it started, has ended, and what it said. */
  async end(): Promise<{ code: number; errors: string }> {
    const errors = await this.#errors;
    return { code: (await this.process.status).code, errors };
  }
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function loggedStep(results: string): number {
  try {
    return metrics(results).at(-1)?.step ?? 0;
  } catch {
    // There is no file yet, or its last line is being written.
    return 0;
  }
}

function savedStep(results: string): number {
  using file = readCheckpoint(join(results, "last.ckpt"));
  file.verify();
  return parseLightning(file.root).globalStep;
}

for (const precision of ["fp32", "bf16"]) {
  Deno.test(`interrupt: Ctrl-C, SIGTERM and kills at random moments change nothing, in ${precision}`, async () => {
    using folder = writeCifar({ train: 40, test: 4 });
    const whole = join(folder.path, "whole"), parts = join(folder.path, "parts");
    const more = ["--precision", precision], random = new Random(Date.now() % 1e9);
    assert.equal((await new Run(folder.path, whole, more).end()).code, 0);
    let step = 0;
    for (
      const [signal, code] of [["SIGINT", 130], ["SIGKILL", 137], ["SIGTERM", 143], ["SIGKILL", 137]] as const
    ) {
      const run = new Run(folder.path, parts, more, signal === "SIGKILL");
      // The log may still hold steps that a killed run had done after it last saved.
      await run.reach(Math.max(step, loggedStep(parts)) + 1 + random.below(30));
      await pause(random.uniform(0, 50));
      run.process.kill(signal);
      const ended = await run.end();
      assert.equal(ended.code, code, ended.errors);
      const logged = loggedStep(parts);
      step = savedStep(parts);
      assert.ok(
        signal === "SIGKILL" ? logged - step <= 7 : step === logged,
        `${signal}: ${step} of ${logged}`,
      );
      assert.ok(step < STEPS, "stopped before its end");
    }
    assert.equal((await new Run(folder.path, parts, more).end()).code, 0);
    assert.deepEqual(plainMetrics(parts), plainMetrics(whole));
    assertSameState(parts, whole);
  });
}

Deno.test("interrupt: a run whose starting process is killed saves and ends, rather than go on unseen", async () => {
  using folder = writeCifar({ train: 40, test: 4 });
  const results = join(folder.path, "results");
  const run = new Run(folder.path, results, ["--max_epochs", "100000"]);
  await run.reach(3);
  run.process.kill("SIGKILL");
  const { errors } = await run.end();
  assert.match(
    errors,
    /^Stopping after this step, with a checkpoint: the process that started this one has ended$/m,
  );
  assert.equal(savedStep(results), loggedStep(results));
});

Deno.test("interrupt: a run goes on when nobody reads what it says", async () => {
  using folder = writeCifar({ train: 40, test: 4 });
  const results = join(folder.path, "results");
  const process = new Deno.Command("sh", {
    args: [
      "-c",
      `"$0" "$@" 2>&1 >/dev/null | head -n 1 >/dev/null`,
      denoCommand(),
      "run",
      "-A",
      "cli.ts",
      "train",
    ]
      .concat(FLAGS, ["--max_epochs", "4", "--data_dir", folder.path, "--results_path", results]),
    cwd: REPOSITORY,
  }).spawn();
  assert.equal((await process.status).code, 0);
  assert.equal(savedStep(results), 20);
});

/** So long that it is still running when something happens to it. */
const LONG = ["--max_epochs", "100000"];

for (const [signal, code] of [["SIGUSR1", 143], ["SIGHUP", 129]] as const) {
  Deno.test(`interrupt: ${signal} saves and stops, and leaves no inspector open`, async () => {
    using folder = writeCifar({ train: 40, test: 4 });
    const results = join(folder.path, "results");
    const run = new Run(folder.path, results, LONG);
    await run.reach(3);
    run.process.kill(signal);
    const { code: status, errors } = await run.end();
    assert.equal(status, code, errors);
    // The launching process may have opened it for milliseconds; the one that trains may not.
    assert(errors.split("Debugger listening").length <= 2, errors);
    await assert.rejects(fetch("http://127.0.0.1:9229/json/list"));
    assert.match(errors, /Stopping after this step, with a checkpoint/);
    assert(savedStep(results) >= 3);
  });
}

Deno.test("interrupt: a second run in the same folder is refused, and the first one goes on", async () => {
  using folder = writeCifar({ train: 40, test: 4 });
  const results = join(folder.path, "results");
  const first = new Run(folder.path, results, LONG);
  await first.reach(2);
  const second = await new Run(folder.path, results, LONG).end();
  assert.equal(second.code, 1);
  assert.match(
    second.errors,
    /^Cannot write results to .*: process \d+, started at .* is writing there; use another folder$/m,
  );
  first.process.kill("SIGINT");
  assert.equal((await first.end()).code, 130);
  assert(savedStep(results) >= 2);
});

Deno.test("interrupt: a results folder that is removed during a run ends it with a sentence", async () => {
  using folder = writeCifar({ train: 40, test: 4 });
  const results = join(folder.path, "results");
  const run = new Run(folder.path, results, LONG);
  await run.reach(2);
  Deno.renameSync(results, join(folder.path, "elsewhere"));
  const { code, errors } = await run.end();
  assert.equal(code, 1);
  assert.match(errors, /the folder was removed or replaced during the run/);
});

Deno.test("interrupt: a task that is killed leaves nothing running, and a checkpoint", async () => {
  using folder = writeCifar({ train: 40, test: 4 });
  const results = join(folder.path, "results");
  const task = new Deno.Command(denoCommand(), {
    args: ["task", "train", ...FLAGS, ...LONG, "--data_dir", folder.path, "--results_path", results],
    cwd: REPOSITORY,
    env: { OMP_NUM_THREADS: "1" },
    stdout: "null",
    stderr: "piped",
  }).spawn();
  while (loggedStep(results) < 2) await pause(20);
  task.kill("SIGKILL");
  // All that it started holds the other end.
  await new Response(task.stderr).text();
  await task.status;
  assert(savedStep(results) >= 2);
});
