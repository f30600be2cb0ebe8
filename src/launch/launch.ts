/**
 * Starts the program as another process that may do less than this one.
 *
 * @module
 */

import { onOrphaned, onStopSignals, STOP_STATUS, type StopSignal } from "./signals.ts";

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
 * Whether `deno task` started this process, by a variable that it sets. Without it nobody could stop the run any more,
 * while a shell that has ended may have left its programs running on purpose.
 */
function isStartedByTask(): boolean {
  const variable = "INIT_CWD";
  return Deno.permissions.querySync({ name: "env", variable }).state === "granted" && Deno.env.has(variable);
}

/**
 * How long programs that work together may go on after one of them has failed. They mostly notice by themselves, when
 * they have done what they are busy with.
 */
const GRACE_MS = 25_000;
/** How long after one of them has ended with an exit status: it has told the others why, or found out who is gone. */
const KNOWN_GRACE_MS = 4000;

/**
 * Runs programs that work together to their end, on this process's terminal, and returns the exit status of the first
 * that failed, else 0. They are passed the first signal to end; they may get the same from the terminal, so they should
 * not count them. The second ends them at once.
 *
 * @throws {Error} if a signal that nobody asked for was the first failure: it says which program and which signal
 */
export async function launch(programs: readonly Program[]): Promise<number> {
  const children: Deno.ChildProcess[] = [];
  const sendAll = (signal: Deno.Signal) => children.forEach((child) => send(child, signal));
  let asked: StopSignal | undefined, killed: StopSignal | undefined;
  let failure: { rank: number; status: Deno.CommandStatus } | undefined;
  const graces: ReturnType<typeof setTimeout>[] = [];
  using _ = onStopSignals((signal) => {
    asked = signal;
    sendAll(signal);
  }, (signal) => {
    killed = signal;
    sendAll("SIGKILL");
  });
  using _parent = isStartedByTask()
    ? onOrphaned(() => {
      asked ??= "SIGTERM";
      sendAll("SIGTERM");
    })
    : null;
  try {
    for (const program of programs) children.push(start(program));
    await Promise.all(children.map(async (child, rank) => {
      const status = await child.status;
      if (status.success) return;
      failure ??= { rank, status };
      graces.push(setTimeout(() => sendAll("SIGKILL"), status.signal === null ? KNOWN_GRACE_MS : GRACE_MS));
    }));
  } catch (error) {
    sendAll("SIGKILL");
    throw error;
  } finally {
    graces.forEach((grace) => clearTimeout(grace));
  }
  if (killed !== undefined) return STOP_STATUS[killed];
  if (failure === undefined) return 0;
  const { rank, status: { code, signal } } = failure;
  // Of several, one may have stopped because another was asked to before it.
  const several = programs.length > 1;
  if (several && asked !== undefined && Object.values(STOP_STATUS).includes(code)) return STOP_STATUS[asked];
  if (signal === null || signal in STOP_STATUS) return code;
  throw new Error(describeEnd(signal, several ? `Process ${rank}` : "The program"));
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

function describeEnd(signal: Deno.Signal, what: string): string {
  const reason = signal === "SIGKILL" ? ", as happens when memory runs out" : "";
  return `${what} was ended by the signal ${signal}${reason}`;
}
