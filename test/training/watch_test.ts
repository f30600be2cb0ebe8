import assert from "node:assert/strict";
import { Watch } from "../../src/training/watch.ts";

Deno.test("watch: where every step is looked at, one that went wrong is passed over or stops the run", () => {
  const watch = new Watch(5, true);
  watch.passed(6);
  assert.equal(watch.judge(7, "stop", true), "stop");
  assert.equal(watch.judge(7, "rollback", false), "stop");
  assert.equal(watch.judge(7, "rollback", true), "pass over");
  assert.deepEqual([5, 6, 7].map((steps) => watch.isSkipped(steps)), [false, true, false]);
});

Deno.test("watch: a fault that steps not looked at may have had is looked for, all the way to where it showed", () => {
  const watch = new Watch(10, false);
  assert.equal(watch.isCareful(10), false);
  assert.equal(watch.judge(20, "stop", false), "stop");
  assert.equal(watch.judge(20, "stop", true), "look for it");
  watch.passed(10);
  assert.deepEqual([10, 19, 20].map((steps) => watch.isCareful(steps)), [true, true, false]);
  watch.passed(11);
  assert.equal(watch.judge(12, "rollback", true), "pass over");
  assert.deepEqual([11, 19].map((steps) => watch.isSkipped(steps)), [true, false]);
});

Deno.test("watch: a run does not pass over batches for ever", () => {
  const watch = new Watch(0, true), remedies: string[] = [];
  for (let steps = 1; steps <= 11; steps++) {
    remedies.push(watch.judge(steps, "rollback", true));
    watch.passed(steps);
  }
  assert.deepEqual(remedies, [...Array(10).fill("pass over"), "stop"]);
});
