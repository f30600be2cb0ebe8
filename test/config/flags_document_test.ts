import assert from "node:assert/strict";
import { flagsDocument } from "../../src/config/flag_table.ts";

Deno.test("docs/flags.md: is what scripts/write_flags.ts writes", () => {
  assert.equal(Deno.readTextFileSync(new URL("../../docs/flags.md", import.meta.url)), flagsDocument());
});
