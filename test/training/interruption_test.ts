import assert from "node:assert/strict";
import { unlessStopped } from "../../src/training/interruption.ts";

Deno.test("unlessStopped ends a wait when the signal asks to, and hands on what came before", async () => {
  const controller = new AbortController(), { signal } = controller;
  assert.equal(await unlessStopped(Promise.resolve(1), signal), 1);
  assert.equal(await unlessStopped(2, signal), 2);
  await assert.rejects(unlessStopped(Promise.reject(new Error("no data")), signal), /no data/);
  const never = unlessStopped(new Promise(() => {}), signal);
  controller.abort();
  assert.equal(await never, null);
});
