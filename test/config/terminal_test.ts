import assert from "node:assert/strict";
import fc from "fast-check";
import { print } from "../../src/config/terminal.ts";
import { printable } from "../../src/base/printable.ts";
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

Deno.test("terminal: text that comes from files cannot drive the terminal", () => {
  assert.equal(
    captured(() => print("class a\x1b[2J\x9b\u202e\r\n\tb é日🎈")),
    "class a\\u001b[2J\\u009b\\u202e\\u000d\n\tb é日🎈\n",
  );
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    assert.doesNotMatch(printable(text).replace(/[\n\t]/g, ""), /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u);
  }));
});
