import assert from "node:assert/strict";
import { print } from "../../src/config/terminal.ts";
import { captured } from "./captured.ts";

Deno.test("terminal: the executable's commands are named as they are there", () => {
  const text = "Usage: deno task <command>; `deno task train`; run `deno task setup`";
  assert.equal(captured(() => print(text)), text + "\n");
  Deno.env.set("STEC_PROGRAM", "stec");
  try {
    assert.equal(captured(() => print(text)), "Usage: stec <command>; `stec train`; run `deno task setup`\n");
  } finally {
    Deno.env.delete("STEC_PROGRAM");
  }
});
