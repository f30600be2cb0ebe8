// deno-lint-ignore-file no-console -- a script that prints its results
/**
 * What two processes of one core each achieve of what one process of one core does.
 *
 * Three training runs take turns of a few seconds, all stopped but the one whose turn it is, so that what else the
 * machine does meets all of them alike: one process on the first core, one on the second, and two that train together
 * on both. In a fourth turn the first two run beside each other, which shows what the machine has left for two runs
 * that share nothing.
 *
 *     deno run -A scripts/bench_scaling.ts [--rounds 8] [--seconds 15] [--width 32] [--batch 256]
 *
 * Processes are bound to their cores by `taskset`, of util-linux. `--batch` counts the images of each process.
 *
 * @module
 */

import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { freePort } from "../src/distributed/world.ts";
import { REPOSITORY } from "../src/setup/environment.ts";
import { median } from "./median.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "8" },
    seconds: { type: "string", default: "15" },
    width: { type: "string", default: "32" },
    batch: { type: "string", default: "256" },
  },
});

/** What a run has logged of a step. */
interface Step {
  /** When it was done, in seconds. */
  readonly time: number;
  /** Milliseconds for which it waited for other processes. */
  readonly peers_waited_ms?: number;
  /** Milliseconds of them for gradients behind the back-propagation. */
  readonly all_reduce_exposed_ms?: number;
}

/** A training run, one process on each of its cores; it is stopped except in its turns. */
class Run {
  readonly #results = Deno.makeTempDirSync();
  readonly #processes: Deno.ChildProcess[];

  constructor(readonly cores: readonly number[]) {
    const port = freePort();
    const flags = `--dataset shapes --arch resnet18 --width ${values.width} --batch_size ${values.batch}
      --manip_lambda 1 --feat_dim 64 --max_steps 1000000 --log_every 1 --gpus 0 --results_path ${this.#results}`;
    const command = [
      Deno.execPath(),
      "run",
      "-A",
      join(REPOSITORY, "cli.ts"),
      "train",
      ...flags.split(/\s+/),
    ];
    this.#processes = cores.map((core, rank) =>
      new Deno.Command("taskset", {
        args: ["-c", `${core}`, ...command],
        env: { OMP_NUM_THREADS: "1", ...(cores.length > 1 && torchrunVariables(rank, cores.length, port)) },
        stdout: "null",
        stderr: "piped",
        // A group of its own, so that signals reach all that the command starts.
        detached: true,
      }).spawn()
    );
  }

  /** The steps logged so far. */
  steps(): Step[] {
    const path = join(this.#results, "metrics.jsonl");
    let text: string;
    try {
      text = Deno.readTextFileSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
    // The last line may not be whole yet.
    return text.split("\n").slice(0, -1).filter((line) => line.includes("images_per_second")).map((line) =>
      JSON.parse(line)
    );
  }

  /** Waits for its first steps, and stops it. */
  async warmUp(): Promise<void> {
    let last: string | undefined;
    Promise.race(this.#processes.map(({ stderr }) => new Response(stderr).text())).then((text) =>
      last = text
    );
    while (this.steps().length < 3) {
      if (last !== undefined) throw new Error(`a run has ended: ${last}`);
      await setTimeout(200);
    }
    this.signal("SIGSTOP");
  }

  /** Sends a signal to all of its processes that are left. */
  signal(name: Deno.Signal): void {
    for (const { pid } of this.#processes) {
      try {
        Deno.kill(-pid, name);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }

  /** Kills it. */
  end(): void {
    this.signal("SIGKILL");
    Deno.removeSync(this.#results, { recursive: true });
  }
}

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

/** Lets runs go on beside each other for a turn. Returns the steps of each that ended in it. */
async function turn(runs: readonly Run[]): Promise<Step[][]> {
  const start = Date.now() / 1000;
  for (const run of runs) run.signal("SIGCONT");
  await setTimeout(1000 * Number(values.seconds));
  for (const run of runs) run.signal("SIGSTOP");
  return runs.map((run) => run.steps().filter(({ time }) => time > start));
}

/** Images per second in a turn's median step: the end of an epoch falls into some, and the first began before. */
function speed(run: Run, steps: readonly Step[]): number {
  if (steps.length < 2) throw new Error("a turn is too short for two steps: lengthen it by --seconds");
  const seconds = steps.slice(1).map(({ time }, i) => time - steps[i].time);
  return run.cores.length * Number(values.batch) / median(seconds);
}

const [first, second, pair] = [[0], [1], [0, 1]].map((cores) => new Run(cores));
const runs = [first, second, pair];
Deno.addSignalListener("SIGINT", () => {
  for (const run of runs) run.end();
  Deno.exit(130);
});
try {
  for (const run of runs) await run.warmUp();
  const scaling: number[] = [], unrelated: number[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const [alone] = await turn([first]), [alone2] = await turn([second]);
    const beside = await turn([first, second]), [together] = await turn([pair]);
    const one = (speed(first, alone) + speed(second, alone2)) / 2, two = speed(pair, together);
    const both = speed(first, beside[0]) + speed(second, beside[1]);
    scaling.push(two / one);
    unrelated.push(both / one);
    const waited = (name: "peers_waited_ms" | "all_reduce_exposed_ms") =>
      median(together.slice(1).map((step) => step[name] ?? 0)).toFixed(0);
    console.log(
      `one process ${one.toFixed(1)} images/s, two ${two.toFixed(1)}: ${scaling.at(-1)!.toFixed(2)} times; ` +
        `two unrelated runs ${unrelated.at(-1)!.toFixed(2)} times; a step waited ${
          waited("peers_waited_ms")
        } ms, ` +
        `${waited("all_reduce_exposed_ms")} ms of them for gradients behind the back-propagation`,
    );
  }
  console.log(
    `median ${median(scaling).toFixed(2)} times, two unrelated runs ${median(unrelated).toFixed(2)} times`,
  );
} finally {
  for (const run of runs) run.end();
}
// The signal listener would keep it going.
Deno.exit(0);
