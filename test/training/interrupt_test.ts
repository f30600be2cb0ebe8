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
