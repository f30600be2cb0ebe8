import assert from "node:assert/strict";
import { join } from "node:path";
import { denoCommand } from "../../src/launch/launch.ts";
import { Random } from "../../src/base/random.ts";
import { REPOSITORY } from "../../src/setup/environment.ts";
import { writeCifar } from "../made_data.ts";
import { loggedSteps } from "../distributed/runs.ts";
import { savedStep } from "./saved_step.ts";

/** How often the run is killed: `STEC_KILLS=200 deno task test --filter kill` for the long version. */
const KILLS = Number(Deno.env.get("STEC_KILLS") ?? 4);
const SAVE_EVERY = 3;

function start(data: string, results: string): Deno.ChildProcess {
  const flags =
    `--dataset cifar10 --data_dir ${data} --results_path ${results} --resume --save_every ${SAVE_EVERY}
    --log_every 1 --arch resnet18 --width 4 --hidden_mlp 16 --feat_dim 8 --manip_hidden_mlp 16 --batch_size 8
    --first_conv 1 --maxpool1 1 --manip_lambda 1 --temperature .5 --learning_rate .1 --max_epochs 100000 --gpus 0`;
  return new Deno.Command(denoCommand(), {
    args: ["run", "-A", join(REPOSITORY, "cli.ts"), "train", ...flags.split(/\s+/)],
    env: { STEC_LAUNCHED: "1", OMP_NUM_THREADS: "1" },
    stdout: "null",
    stderr: "piped",
  }).spawn();
}

Deno.test(`kill: killed ${KILLS} times at random moments, a run loses no more than the steps since it last saved`, async () => {
  using folder = writeCifar({ train: 40, test: 4 });
  const results = join(folder.path, "results"), random = new Random(Date.now() % 1e9);
  let before = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const child = start(folder.path, results);
    const errors = new Response(child.stderr).text();
    const target = before + SAVE_EVERY + 1 + random.below(10);
    let ended = false;
    child.status.then(() => ended = true);
    while (loggedSteps(results).at(-1)! < target && !ended) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.ok(!ended, `the run ended by itself: ${await (ended ? errors : "")}`);
    await new Promise((resolve) => setTimeout(resolve, random.uniform(0, 30)));
    child.kill("SIGKILL");
    await child.status;
    await errors;
    const logged = loggedSteps(results).at(-1)!, saved = savedStep(results);
    assert.ok(saved > logged - 1 - SAVE_EVERY, `saved after step ${saved}, killed after step ${logged}`);
    assert.ok(saved >= before, "never falls back behind what was saved");
    before = saved;
  }
});
