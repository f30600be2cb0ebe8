/** Checks format, lint, types and documentation: `deno task check`. */

import { readFlags } from "./arguments.ts";
import { deno } from "./deno.ts";

const HELP = `Usage: deno task check

Checks format, lint, types and documentation, and stops at the first failure.`;

readFlags(HELP, {});
await deno("fmt", "--check");
await deno("lint");
await deno("check");
await deno("doc", "--lint", "mod.ts");
