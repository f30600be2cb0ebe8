import assert from "node:assert/strict";
import { cosineSchedule } from "../../src/optim/schedule.ts";
import { goldenJson } from "../golden.ts";

Deno.test("golden order_and_schedule: factors over 480 warm-up and 48,000 total steps", () => {
  const { schedule } = goldenJson<{ schedule: Record<string, number> }>("order_and_schedule");
  const factor = cosineSchedule(480, 48_000);
  for (const [step, expected] of Object.entries(schedule)) {
    assert.ok(
      Math.abs(factor(Number(step)) - expected) <= 1e-12,
      `step ${step}: ${factor(Number(step))}, wanted ${expected}`,
    );
  }
});

Deno.test("cosineSchedule: without warm-up the first factor is 1, after the end it stays 0", () => {
  const factor = cosineSchedule(0, 10);
  assert.equal(factor(0), 1);
  assert.equal(factor(10), 0);
  assert.equal(factor(11), 0);
});
