/**
 * The results folder.
 *
 * @module
 */

import { join } from "node:path";
import { writeAtomically, writeFully } from "./atomic.ts";

/** Writes a value as JSON into the folder, which is made if it is missing. */
export function writeJson(folder: string, name: string, value: unknown): void {
  Deno.mkdirSync(folder, { recursive: true });
  const bytes = new TextEncoder().encode(JSON.stringify(value, null, 2) + "\n");
  writeAtomically(join(folder, name), (file) => writeFully(file, bytes));
}
