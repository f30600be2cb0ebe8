/**
 * Starts the program as another process that may do less than this one.
 *
 * @module
 */

import { onStopSignals, STOP_STATUS, type StopSignal } from "./signals.ts";

/** The variable by which a process knows that it was started here. */
const LAUNCHED = "STEC_LAUNCHED";

/** A program to start, and how. */
export interface Program {
  /** The file of its main module. */
  readonly script: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** Flags of `deno run` that say what it may do. */
  readonly permissions: readonly string[];
  /** Variables to add to this process's. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Whether this process was started by {@linkcode launch}. */
export function isLaunched(): boolean {
  return Deno.env.get(LAUNCHED) === "1";
}

/**
 * Runs a program to its end on this process's terminal and returns its exit status. It is passed the first signal
 * to end; it may get the same from the terminal, so it should not count them. The second ends it at once.
 */
export async function launch(program: Program): Promise<number> {
  const child = start(program);
  let killed: StopSignal | undefined;
  using _ = onStopSignals(
    (signal) => send(child, signal),
    (signal) => {
      killed = signal;
      send(child, "SIGKILL");
    },
  );
  const { code, signal } = await child.status;
  if (killed !== undefined) return STOP_STATUS[killed];
  if (signal !== null && !(signal in STOP_STATUS)) throw new Error(describeEnd(signal));
  return code;
}

function start({ script, args, permissions, environment }: Program): Deno.ChildProcess {
  const deno = denoCommand();
  try {
    return new Deno.Command(deno, {
      // An executable that `deno compile` has made has one script, and its permissions are built in.
      args: Deno.build.standalone ? [...args] : ["run", ...permissions, script, ...args],
      env: { ...environment, [LAUNCHED]: "1" },
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(`Cannot start ${deno}: it is not in PATH; add the folder of ${Deno.execPath()} to PATH`);
  }
}

/** This executable where running it is permitted. The tasks permit `deno` as PATH finds it, mostly a link to it. */
export function denoCommand(): string {
  const own = Deno.execPath();
  return Deno.permissions.querySync({ name: "run", command: own }).state === "granted" ? own : "deno";
}

function send(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    // It has just ended by itself.
    if (!(error instanceof TypeError)) throw error;
  }
}

function describeEnd(signal: Deno.Signal): string {
  const reason = signal === "SIGKILL" ? ", as happens when memory runs out" : "";
  return `The program was ended by the signal ${signal}${reason}`;
}
