// deno-lint-ignore-file no-console -- a script that prints its results
/**
 * What two processes of one core each achieve of what one process of one core does: the same training run, in turn,
 * each process bound to its core (by `taskset`, of util-linux).
 *
 *     deno run -A scripts/bench_scaling.ts [--rounds 3] [--width 32] [--batch 128] [--steps 30]
 *
 * @module
 */

import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePort } from "../src/distributed/world.ts";
import { REPOSITORY } from "../src/setup/environment.ts";
import { median } from "./median.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    width: { type: "string", default: "32" },
    batch: { type: "string", default: "128" },
    steps: { type: "string", default: "30" },
  },
});

/** What torchrun tells one of several processes on this machine. */
function torchrunVariables(rank: number, size: number, port: number): Record<string, string> {
  return {
    RANK: `${rank}`,
    LOCAL_RANK: `${rank}`,
    WORLD_SIZE: `${size}`,
    LOCAL_WORLD_SIZE: `${size}`,
    MASTER_ADDR: "127.0.0.1",
    MASTER_PORT: `${port}`,
  };
}

interface Speed {
  readonly imagesPerSecond: number;
  readonly waited: number;
  readonly exposed: number;
}

/** Trains with one process on each of these cores, which take images of the built-in data set in batches of `--batch`. */
async function train(cores: readonly number[]): Promise<Speed> {
  const results = Deno.makeTempDirSync(), port = freePort();
  const flags =
    `--dataset shapes --arch resnet18 --width ${values.width} --batch_size ${values.batch} --manip_lambda 1
    --feat_dim 64 --max_steps ${values.steps} --log_every 3 --gpus 0 --results_path ${results}`;
  const command = [Deno.execPath(), "run", "-A", join(REPOSITORY, "cli.ts"), "train", ...flags.split(/\s+/)];
  const ends = await Promise.all(cores.map((core, rank) =>
    new Deno.Command("taskset", {
      args: ["-c", `${core}`, ...command],
      env: { OMP_NUM_THREADS: "1", ...(cores.length > 1 && torchrunVariables(rank, cores.length, port)) },
      stdout: "null",
    }).output()
  ));
  for (const { success, stderr } of ends) if (!success) throw new Error(new TextDecoder().decode(stderr));
  const lines = Deno.readTextFileSync(join(results, "metrics.jsonl")).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  Deno.removeSync(results, { recursive: true });
  // The first steps warm up.
  const logged = lines.filter((line) => "images_per_second" in line).slice(1), steps = logged.slice(1);
  const of = (name: string) => median(steps.map((line) => line[name] ?? 0));
  const seconds = steps.map(({ time, step }, i) => (time - logged[i].time) / (step - logged[i].step));
  return {
    imagesPerSecond: cores.length * Number(values.batch) / median(seconds),
    waited: of("peers_waited_ms"),
    exposed: of("all_reduce_exposed_ms"),
  };
}

const ratios: number[] = [];
for (let round = 0; round < Number(values.rounds); round++) {
  const one = await train([0]), two = await train([0, 1]);
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
