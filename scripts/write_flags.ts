/**
 * Writes docs/flags.md from the schema of the flags.
 *
 *     deno run -A scripts/write_flags.ts
 *
 * @module
 */

import { flagsDocument } from "../src/config/flag_table.ts";

Deno.writeTextFileSync(new URL("../docs/flags.md", import.meta.url), flagsDocument());
