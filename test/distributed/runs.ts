/**
 * Training runs of several processes, started by the command line as a user starts them.
 *
 * @module
 */

import { join } from "node:path";
import { denoCommand } from "../../src/launch/launch.ts";
import { REPOSITORY } from "../../src/setup/environment.ts";

/** A run that goes on until it is ended, on CIFAR-10 in `data`, with a small network. */
export interface RunOptions {
  readonly data: string;
  readonly results: string;
  /** More flags, such as `--processes 2`. */
  readonly flags?: string;
  /** Variables of its environment. */
  readonly env?: Record<string, string>;
  /** What the command line comes after, for instance `ip netns exec a`. */
  readonly before?: readonly string[];
}

const COMMON = `--dataset cifar10 --arch resnet18 --width 4 --hidden_mlp 16 --feat_dim 8 --manip_hidden_mlp 16
  --first_conv 1 --maxpool1 1 --manip_lambda 1 --temperature .5 --warmup_epochs 0 --log_every 1 --gpus 0 --fp32`
  .split(/\s+/);

/** The words after `deno`. */
export function trainArguments({ data, results, flags = "" }: RunOptions): string[] {
  return [
    ...["run", "-A", join(REPOSITORY, "cli.ts"), "train", ...COMMON],
    ...["--data_dir", data, "--results_path", results, ...flags.split(/\s+/).filter(Boolean)],
  ];
}

/** A started run. */
export class Run {
  readonly process: Deno.ChildProcess;
  readonly #errors: Promise<string>;
  readonly #results: string;

  /** Starts it. */
  constructor(options: RunOptions) {
    const [command, ...words] = [...options.before ?? [], denoCommand(), ...trainArguments(options)];
    this.#results = options.results;
    this.process = new Deno.Command(command, {
      args: words,
      env: { OMP_NUM_THREADS: "1", ...options.env },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#errors = new Response(this.process.stderr).text();
  }

  /** The processes that it has started, by their ranks. */
  get ranks(): number[] {
    const { pid } = this.process;
    return processFile(`${pid}/task/${pid}/children`).trim().split(" ").map(Number);
  }

  /** Waits until the log tells of a step. */
  async reach(step: number): Promise<void> {
    let ended = false;
    this.process.status.then(() => ended = true);
    while (loggedSteps(this.#results).at(-1)! < step) {
      if (ended) throw new Error(`The run ended before step ${step}: ${await this.#errors}`);
      await pause();
    }
  }

  /** Its exit status, and what it has said. */
  async end(): Promise<{ code: number; errors: string }> {
    const { code } = await this.process.status;
    return { code, errors: await this.#errors };
  }
}

/** The metrics of a run's training steps, in their order. */
export function loggedMetrics(results: string): Record<string, number>[] {
  try {
    const lines = Deno.readTextFileSync(join(results, "metrics.jsonl")).split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line)).filter((line) => "train/loss" in line);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** The steps that a run's log tells of, after 0. */
export function loggedSteps(results: string): number[] {
  return [0, ...loggedMetrics(results).map(({ step }) => step)];
}

/** Waits a moment. */
export function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

/** Whether a process is there and has not ended. */
export function isAlive(pid: number): boolean {
  return /^State:\s+[^ZX\s]/m.test(processFile(`${pid}/status`));
}

/** What the kernel says of processes, nothing where there is none. Only with all permissions could Deno read it. */
function processFile(path: string): string {
  const { stdout } = new Deno.Command("cat", { args: [`/proc/${path}`], stderr: "null" }).outputSync();
  return new TextDecoder().decode(stdout);
}
