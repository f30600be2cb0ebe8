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
import { isLaunched, launch, type Program } from "./src/launch/launch.ts";
import {
  closeInspectorOnUserSignal,
  onOrphaned,
  onStopSignals,
  STOP_STATUS,
  type StopSignal,
} from "./src/launch/signals.ts";
import type { TrainResult } from "./src/commands/train.ts";

async function main(args: string[]): Promise<number> {
  const invocation = parseCommandLine(args, columns());
  if (invocation.command === "print") return print(invocation.text.trimEnd());
  if (Deno.build.standalone && !isLaunched() && !["inspect", "export"].includes(invocation.command)) {
    const { unpackLibraries } = await import("./src/executable/unpack.ts");
    Deno.env.set("STEC_NATIVE", await unpackLibraries(Deno.env));
  }
  // An inspection only reads, as this process does.
  if (isLaunched() || invocation.command === "inspect") return await run(invocation);
  if (invocation.command !== "export") {
    const { prepareLibrary } = await import("./src/launch/prepare.ts");
    const prepared = await prepareLibrary();
    if (prepared !== 0) return prepared;
    const { fetchDataset } = await import("./src/launch/fetch_dataset.ts");
    const status = await fetchDataset(invocation.command, invocation.settings);
    if (status !== 0) return status;
  }
  return await launch(await programsFor(invocation, args));
}

/** A command to run, as it was understood. */
type Order = Exclude<Invocation, { command: "print" }>;

/** The variable that says under which name a file may be written until it is whole. */
const TEMPORARY = "STEC_TEMPORARY";

/** The processes that run a command: one, but for training that several do together. */
async function programsFor(
  invocation: Exclude<Order, { command: "inspect" }>,
  args: string[],
): Promise<Program[]> {
  const program = { script: import.meta.filename!, args, ...await processFor(invocation) };
  if (invocation.command !== "train") return [program];
  const { freePort, WORLD_VARIABLE, worldsToStart } = await import("./src/distributed/world.ts");
  return worldsToStart(Deno.env, invocation.settings, freePort).map((world, _, { length }) =>
    world === null ? program : {
      ...program,
      environment: {
        ...program.environment,
        ...(length > 1 && { OMP_NUM_THREADS: Deno.env.get("OMP_NUM_THREADS") ?? threadsOfEach(length) }),
        [WORLD_VARIABLE]: JSON.stringify(world),
      },
    }
  );
}

/** The threads of each of several processes: together they have as many as there are cores. */
function threadsOfEach(processes: number): string {
  return `${Math.max(1, Math.floor(navigator.hardwareConcurrency / processes))}`;
}

/** What the process that runs a command may do, and the variables that are added for it. */
async function processFor(
  invocation: Exclude<Order, { command: "inspect" }>,
): Promise<Pick<Program, "permissions" | "environment">> {
  const { permissionsFor, permissionsForExport, permissionsForPreview } = await import(
    "./src/launch/permissions.ts"
  );
  const { readManifest } = await import("./src/setup/manifest.ts");
  switch (invocation.command) {
    case "preview":
    case "export": {
      const { temporaryPath } = await import("./src/files/atomic.ts");
      const { output } = invocation.settings, temporary = temporaryPath(output), files = [output, temporary];
      const permissions = invocation.command === "export"
        ? permissionsForExport(files)
        : permissionsForPreview(readManifest(), files);
      return { permissions, environment: { [TEMPORARY]: temporary } };
    }
    default:
      return { permissions: permissionsFor(invocation.settings, readManifest()) };
  }
}

/** Runs a command and returns the exit status. */
async function run(asked: Order): Promise<number> {
  const invocation = await withStoredModel(asked);
  const { launchedWorld } = await import("./src/distributed/world.ts");
  const world = launchedWorld(Deno.env), isFirst = world === null || world.rank === 0;
  if (isFirst) invocation.notes.forEach(say);
  if (invocation.command !== "inspect" && invocation.command !== "export") {
    const { stopOnUserSignal } = await import("./src/torch/signals.ts");
    stopOnUserSignal();
  }
  switch (invocation.command) {
    case "train": {
      const { train } = await import("./src/commands/train.ts");
      const controller = new AbortController();
      let status = 0;
      // Which signal came first is all that matters: the launching process acts on a second one.
      const stop = (signal: StopSignal, sentence: string) => {
        if (isFirst) say(`Stopping after this step, with a checkpoint${sentence}`);
        status = STOP_STATUS[signal];
        controller.abort();
      };
      using _signals = onStopSignals(
        (signal) => stop(signal, "; Ctrl-C once more stops at once, without"),
        () => {},
      );
      // Nobody could stop it any more, and a resumed run would write to the same folder.
      using _parent = isLaunched()
        ? onOrphaned(() => stop("SIGTERM", ": the process that started this one has ended"))
        : null;
      const result = await train(invocation.settings, { signal: controller.signal, world });
      if (result.interrupted && status === 0) {
        if (isFirst) say("Stopped with a checkpoint, as another process was asked to");
        return STOP_STATUS.SIGTERM;
      }
      if (result.interrupted) return status;
      return isFirst ? print(describeResult(result)) : 0;
    }
    case "eval": {
      const { evaluate } = await import("./src/commands/eval.ts");
      const { accuracy } = await evaluate(invocation.settings, say);
      return print(accuracy.toFixed(4));
    }
    case "probe": {
      const { describeProbe, probe } = await import("./src/commands/probe.ts");
      const { stderrProgress } = await import("./src/setup/progress.ts");
      return print(describeProbe(await probe(invocation.settings, stderrProgress())));
    }
    case "preview": {
      const { preview } = await import("./src/commands/preview.ts");
      const { output } = invocation.settings;
      const { pairs } = await preview(invocation.settings, say, Deno.env.get(TEMPORARY));
      return print(`Wrote ${output}: ${pairs.length} images, open it in a browser`);
    }
    case "export": {
      const { exportEncoder } = await import("./src/commands/export.ts");
      const { ckpt_path, to, output } = invocation.settings;
      const metadata = exportEncoder(ckpt_path, to, output, Deno.env.get(TEMPORARY));
      const lines = Object.entries(metadata).map(([name, value]) => `  ${name}: ${value}`);
      return print([`Wrote the encoder of ${ckpt_path} to ${output}:`, ...lines].join("\n"));
    }
    case "inspect": {
      const { inspectFile } = await import("./src/commands/inspect.ts");
      return print(inspectFile(invocation.settings.file).join("\n"));
    }
  }
}

/** The command with the networks of the checkpoint that it goes on from, if it does. */
async function withStoredModel(asked: Order): Promise<Order> {
  if (!("given" in asked)) return asked;
  const { adoptModel } = await import("./src/training/adopt_model.ts");
  return adoptModel(asked);
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
  closeInspectorOnUserSignal();
  globalThis.addEventListener("unhandledrejection", (event) => fail(event.reason));
  Deno.exit(await main(Deno.args).catch(fail));
}
