/**
 * Understands a command line and runs nothing: what the start-up of the executable asks before it unpacks anything.
 * Prints what was asked for, or what is wrong, as the program does.
 *
 * @module
 */

import { parseCommandLine } from "../config/command_line.ts";
import { columns, fail, print } from "../config/terminal.ts";

/** The exit status that says that there is something to run; `start.cpp` knows it, too. */
const UNDERSTOOD = 75;

if (import.meta.main) {
  try {
    const invocation = parseCommandLine(Deno.args, columns());
    if (invocation.command === "print") print(invocation.text.trimEnd());
    else Deno.exit(UNDERSTOOD);
  } catch (error) {
    fail(error);
  }
}
