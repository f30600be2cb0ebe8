/**
 * The command line: `deno run cli.ts <command> [flags]`, mostly reached as `deno task <command>`.
 *
 * The process that the task starts only reads the flags. It starts a second one that may do no more than they ask
 * for, and that one loads the rest of the program.
 *
 * @module
 */

import { type Invocation, parseCommandLine } from "./src/config/command_line.ts";
import { columns, fail, print, say } from "./src/config/terminal.ts";
import { isLaunched, launch, type Program } from "./src/launch.ts";
import { onStopSignals, STOP_STATUS } from "./src/signals.ts";
import type { TrainResult } from "./src/train.ts";

async function main(args: string[]): Promise<number> {
  const invocation = parseCommandLine(args, columns());
  if (invocation.command === "print") return print(invocation.text.trimEnd());
  if (Deno.build.standalone && !isLaunched() && !["inspect", "export"].includes(invocation.command)) {
    const { unpackLibraries } = await import("./src/executable/unpack.ts");
    Deno.env.set("STEC_NATIVE", await unpackLibraries(Deno.env));
  }
  // An inspection only reads, as this process does.
  if (isLaunched() || invocation.command === "inspect") return await run(invocation);
  return await launch({ script: import.meta.filename!, args, ...await processFor(invocation) });
}

/** A command to run, as it was understood. */
type Order = Exclude<Invocation, { command: "print" }>;

/** The variable that says under which name a file may be written until it is whole. */
const TEMPORARY = "STEC_TEMPORARY";

/** What the process that runs a command may do, and the variables that are added for it. */
async function processFor(
  invocation: Exclude<Order, { command: "inspect" }>,
): Promise<Pick<Program, "permissions" | "environment">> {
  const { permissionsFor, permissionsForExport, permissionsForPreview } = await import(
    "./src/permissions.ts"
  );
  const { readManifest } = await import("./src/setup/manifest.ts");
  // libtorch's threads would spin while they wait for each other: a waste wherever the cores are shared.
  const environment = { OMP_WAIT_POLICY: Deno.env.get("OMP_WAIT_POLICY") ?? "passive" };
  switch (invocation.command) {
    case "preview":
    case "export": {
      const { temporaryPath } = await import("./src/checkpoint/atomic.ts");
      const { output } = invocation.settings, temporary = temporaryPath(output), files = [output, temporary];
      const permissions = invocation.command === "export"
        ? permissionsForExport(files)
        : permissionsForPreview(invocation.settings, readManifest(), files);
      return { permissions, environment: { ...environment, [TEMPORARY]: temporary } };
    }
    default:
      return { permissions: permissionsFor(invocation.settings, readManifest()), environment };
  }
}

/** Runs a command and returns the exit status. */
async function run(invocation: Order): Promise<number> {
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
      const { accuracy } = await evaluate(invocation.settings, say);
      return print(accuracy.toFixed(4));
    }
    case "probe": {
      const { describeProbe, probe } = await import("./src/probe.ts");
      const { stderrProgress } = await import("./src/setup/progress.ts");
      return print(describeProbe(await probe(invocation.settings, stderrProgress())));
    }
    case "preview": {
      const { preview } = await import("./src/preview.ts");
      const { output } = invocation.settings;
      const { pairs } = await preview(invocation.settings, Deno.env.get(TEMPORARY));
      return print(`Wrote ${output}: ${pairs.length} images, open it in a browser`);
    }
    case "export": {
      const { exportEncoder } = await import("./src/checkpoint/export.ts");
      const { ckpt_path, to, output } = invocation.settings;
      const metadata = exportEncoder(ckpt_path, to, output, Deno.env.get(TEMPORARY));
      const lines = Object.entries(metadata).map(([name, value]) => `  ${name}: ${value}`);
      return print([`Wrote the encoder of ${ckpt_path} to ${output}:`, ...lines].join("\n"));
    }
    case "inspect": {
      const { inspectFile } = await import("./src/checkpoint/inspect.ts");
      return print(inspectFile(invocation.settings.file).join("\n"));
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

if (import.meta.main) {
  globalThis.addEventListener("unhandledrejection", (event) => fail(event.reason));
  Deno.exit(await main(Deno.args).catch(fail));
}
