/**
 * The signals that ask a program to end: Ctrl-C, a terminal that closes, and what `kill` and job schedulers send.
 *
 * @module
 */

import inspector from "node:inspector";

/** A signal that asks a program to end. */
export type StopSignal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGUSR1";

/** The exit status that tells which signal ended a program. */
export const STOP_STATUS: { readonly [K in StopSignal]: number } = {
  SIGINT: 130,
  SIGTERM: 143,
  SIGHUP: 129,
  // As SIGTERM, which it is passed on as.
  SIGUSR1: 143,
};

/**
 * A terminal sends Ctrl-C to every process in it, and `deno task` passes its own on, so that one key press arrives
 * twice within milliseconds. A person's second one comes later than this.
 */
const SAME_PRESS_MS = 300;

/** When Deno's inspector is closed after SIGUSR1, which opens it some milliseconds later. */
const CLOSE_MS = [0, 5, 20, 100, 500];

/**
 * Closes the inspector that Deno opens on SIGUSR1. A process that has loaded the native library does better, see
 * `stopOnUserSignal`.
 */
export function closeInspectorOnUserSignal(): void {
  const canClose = () => Deno.permissions.querySync({ name: "sys" }).state === "granted";
  Deno.addSignalListener("SIGUSR1", () => {
    if (canClose()) CLOSE_MS.forEach((delay) => setTimeout(() => inspector.close(), delay));
  });
}

/** How often it is looked whether the parent process is still there. */
const PARENT_MS = 500;

/** Calls `then` when the process that started this one has ended without it, until disposed. */
export function onOrphaned(then: () => void): Disposable {
  const parent = Deno.ppid;
  const timer = setInterval(() => {
    if (Deno.ppid === parent) return;
    clearInterval(timer);
    then();
  }, PARENT_MS);
  Deno.unrefTimer(timer);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Calls `first` when the program is asked to end, and `again` when it is asked once more, until disposed. */
export function onStopSignals(
  first: (signal: StopSignal) => void,
  again: (signal: StopSignal) => void,
): Disposable {
  let since: number | undefined;
  const listeners = (Object.keys(STOP_STATUS) as StopSignal[]).map((signal) => {
    const listener = () => {
      if (since === undefined) {
        since = performance.now();
        first(signal);
      } else if (performance.now() - since > SAME_PRESS_MS) {
        again(signal);
      }
    };
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  });
  return { [Symbol.dispose]: () => listeners.forEach((remove) => remove()) };
}
