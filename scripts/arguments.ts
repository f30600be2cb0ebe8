/**
 * The arguments of a task's script.
 *
 * @module
 */

import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { print, say } from "../src/config/terminal.ts";
import { messageOf } from "../src/base/errors.ts";

/** Prints `help` and ends the program if one of its arguments asks for that. */
export function answerHelp(help: string): void {
  if (!Deno.args.some((arg) => arg === "--help" || arg === "-h")) return;
  print(help);
  Deno.exit(0);
}

/** Reads this program's flags. Ends the program if they ask for `help`, or with one sentence if they are wrong. */
export function readFlags<T extends ParseArgsOptionsConfig>(
  help: string,
  options: T,
): ReturnType<typeof parseArgs<{ options: T }>>["values"] {
  answerHelp(help);
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    say(`${messageOf(error).split(". ")[0]}: --help lists the flags`);
    Deno.exit(2);
  }
}
