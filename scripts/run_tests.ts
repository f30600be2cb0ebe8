/** Runs the tests: `deno task test`. */

import { answerHelp } from "./arguments.ts";
import { deno } from "./deno.ts";

const HELP = `Usage: deno task test [files] [flags of deno test]

Sets up, checks format, lint, types and documentation, then runs all tests, or those in the named
files and folders.

Example:
    deno task test test/nn --filter resnet`;

const PERMISSIONS = [
  "--no-prompt",
  ...["read", "write", "env", "ffi", "run", "sys", "net=127.0.0.1"].map((what) => `--allow-${what}`),
];

answerHelp(HELP);
await deno("task", "setup");
await deno("task", "check");
await deno("test", ...PERMISSIONS, ...Deno.args);
