// deno-lint-ignore-file no-console -- a script that prints its results
/**
 * What two processes of one core each achieve of twice what one process of one core does: the same training run, in turn.
 *
 *     deno run -A scripts/bench_scaling.ts [--rounds 3] [--width 32] [--batch 64] [--steps 30]
 *
 * @module
 */

import { join } from "node:path";
import { parseArgs } from "node:util";
import { REPOSITORY } from "../src/setup/environment.ts";
import { median } from "./median.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    width: { type: "string", default: "32" },
    batch: { type: "string", default: "64" },
    steps: { type: "string", default: "30" },
  },
});

interface Speed {
  readonly imagesPerSecond: number;
  readonly waited: number;
  readonly exposed: number;
}

/** Trains with so many processes, which take images of the built-in data set in batches of `--batch` each. */
function train(processes: number): Speed {
  const results = Deno.makeTempDirSync();
  const flags =
    `--dataset shapes --arch resnet18 --width ${values.width} --batch_size ${values.batch} --manip_lambda 1
    --feat_dim 64 --max_steps ${values.steps} --log_every 5 --processes ${processes} --gpus 0 --results_path ${results}`;
  const { success, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", join(REPOSITORY, "cli.ts"), "train", ...flags.split(/\s+/)],
    env: { OMP_NUM_THREADS: "1" },
    stdout: "null",
  }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const lines = Deno.readTextFileSync(join(results, "metrics.jsonl")).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  Deno.removeSync(results, { recursive: true });
  // The first steps warm up.
  const logged = lines.filter((line) => "images_per_second" in line).slice(1), steps = logged.slice(1);
  const of = (name: string) => median(steps.map((line) => line[name] ?? 0));
  const seconds = steps.map(({ time, step }, i) => (time - logged[i].time) / (step - logged[i].step));
  return {
    imagesPerSecond: processes * Number(values.batch) / median(seconds),
    waited: of("peers_waited_ms"),
    exposed: of("all_reduce_exposed_ms"),
  };
}

const ratios: number[] = [];
for (let round = 0; round < Number(values.rounds); round++) {
  const one = train(1), two = train(2);
  ratios.push(two.imagesPerSecond / one.imagesPerSecond);
  console.log(
    `one process ${one.imagesPerSecond.toFixed(1)} images/s, two ${two.imagesPerSecond.toFixed(1)}: ` +
      `${ratios.at(-1)!.toFixed(2)} times; a step waited ${
        two.waited.toFixed(0)
      } ms for the other process, ` +
      `${two.exposed.toFixed(1)} ms of them for gradients behind the back-propagation`,
  );
}
console.log(`median ${median(ratios).toFixed(2)}`);
