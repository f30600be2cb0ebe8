import assert from "node:assert/strict";
import { tellingNotes } from "../../src/base/errors.ts";

Deno.test("tellingNotes tells the notes that are left, before an error as well", async () => {
  const told: string[] = [], tell = (note: string) => told.push(note);
  const result = await tellingNotes(tell, (notes) => {
    notes.push("shown", "left");
    notes.shift();
    return 7;
  });
  assert.deepEqual([result, told.splice(0)], [7, ["left"]]);
  const failing = tellingNotes(tell, (notes) => {
    notes.push("first");
    throw new TypeError("then this");
  });
  await assert.rejects(failing, new TypeError("then this"));
  assert.deepEqual(told, ["first"]);
});
