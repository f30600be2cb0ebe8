/**
 * What the command line writes, and where.
 *
 * @module
 */

import { messageOf, UsageError } from "../base/errors.ts";
import { printable } from "../base/printable.ts";

/** Width of the help: the terminal's, within reason. */
export function columns(): number {
  return Deno.stdout.isTerminal() ? Math.min(120, Math.max(60, Deno.consoleSize().columns)) : 100;
}

/** Writes to standard output. Whoever reads it may stop, as `head` does. */
export function print(text: string): 0 {
  const bytes = new TextEncoder().encode(printable(named(text)) + "\n");
  try {
    for (let written = 0; written < bytes.length;) written += Deno.stdout.writeSync(bytes.subarray(written));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
  return 0;
}

/** Writes to standard error, if anybody still reads it. */
export function say(text: string): void {
  try {
    Deno.stderr.writeSync(new TextEncoder().encode(printable(named(text)) + "\n"));
  } catch {
    // Nobody reads any more: no reason not to go on.
  }
}

/** Says what went wrong in one sentence and ends; STEC_DEBUG=1 shows where. */
export function fail(error: unknown): never {
  const stack = Deno.env.get("STEC_DEBUG") === "1" && error instanceof Error ? error.stack : undefined;
  say(stack ?? messageOf(error));
  Deno.exit(error instanceof UsageError ? 2 : 1);
}

/** Commands are `deno task ...`, but in the executable, which has the commands and not the other tasks. */
function named(text: string): string {
  const program = Deno.env.get("STEC_PROGRAM") ?? (Deno.build.standalone ? "stec" : undefined);
  return program === undefined
    ? text
    : text.replace(/\bdeno task(?! (setup|doctor|test|check|compile)\b)/g, program);
}
