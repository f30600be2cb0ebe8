/**
 * The command line: `deno run cli.ts <command> [flags]`, mostly reached as `deno task <command>`.
 *
 * The process that the task starts only reads the flags. It starts a second one that may do no more than they ask
 * for, and that one loads the rest of the program.
 *
 * @module
 */

import { type Invocation, parseCommandLine } from "./src/config/command_line.ts";
import { messageOf, UsageError } from "./src/errors.ts";
import { isLaunched, launch } from "./src/launch.ts";
import { onStopSignals, STOP_STATUS } from "./src/signals.ts";
import type { TrainResult } from "./src/train.ts";

async function main(args: string[]): Promise<number> {
  const invocation = parseCommandLine(args, columns());
  if (invocation.command === "print") return print(invocation.text.trimEnd());
  if (isLaunched()) return await run(invocation);
  const { permissionsFor } = await import("./src/permissions.ts");
  const { readManifest } = await import("./src/setup/manifest.ts");
  const permissions = permissionsFor(invocation.settings, readManifest());
  // libtorch's threads would spin while they wait for each other: a waste wherever the cores are shared.
  const environment = { OMP_WAIT_POLICY: Deno.env.get("OMP_WAIT_POLICY") ?? "passive" };
  return await launch({ script: import.meta.filename!, args, permissions, environment });
}

/** Runs a command and returns the exit status. */
async function run(invocation: Exclude<Invocation, { command: "print" }>): Promise<number> {
  for (const note of invocation.notes) say(note);
  switch (invocation.command) {
    case "train": {
      const { train } = await import("./src/train.ts");
      const controller = new AbortController();
      let status = 0;
      // Which signal came first is all that matters: the launching process acts on a second one.
      using _ = onStopSignals((signal) => {
        say("Stopping after this step, with a checkpoint; Ctrl-C once more stops at once, without");
        status = STOP_STATUS[signal];
        controller.abort();
      }, () => {});
      const result = await train(invocation.settings, { signal: controller.signal });
      if (result.interrupted) return status;
      return print(describeResult(result));
    }
    case "eval": {
      const { evaluate } = await import("./src/evaluate.ts");
      const { accuracy } = await evaluate(invocation.settings);
      return print(accuracy.toFixed(4));
    }
  }
}

/** The outcome of a training run, in a few lines. */
function describeResult({ steps, test, baselines }: TrainResult): string {
  const lines = test === null
    ? [`trained for ${steps} steps`]
    : [`test accuracy                            ${test.accuracy.toFixed(4)}  (${test.count} images)`];
  if (baselines !== null) {
    lines.push(
      `linear probe on the untrained encoder    ${baselines.untrainedEncoder.toFixed(4)}`,
      `linear probe on raw pixels               ${baselines.rawPixels.toFixed(4)}`,
    );
  }
  return lines.join("\n");
}

/** Width of the help: the terminal's, within reason. */
function columns(): number {
  return Deno.stdout.isTerminal() ? Math.min(120, Math.max(60, Deno.consoleSize().columns)) : 100;
}

function print(text: string): 0 {
  Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));
  return 0;
}

function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text + "\n"));
}

/** Says what went wrong in one sentence; STEC_DEBUG=1 shows where. */
function fail(error: unknown): never {
  const stack = Deno.env.get("STEC_DEBUG") === "1" && error instanceof Error ? error.stack : undefined;
  say(stack ?? messageOf(error));
  Deno.exit(error instanceof UsageError ? 2 : 1);
}

if (import.meta.main) {
  globalThis.addEventListener("unhandledrejection", (event) => fail(event.reason));
  Deno.exit(await main(Deno.args).catch(fail));
}
