import assert from "node:assert/strict";
import { Speedometer } from "../../src/log/speed.ts";

Deno.test("speed: rate, time left and waiting share follow the last steps and forget a slow start", () => {
  let time = 0;
  const speed = new Speedometer(100_000, () => time);
  assert.equal(speed.imagesPerSecond, 0);
  assert.equal(speed.waitingShare, 0);
  assert.equal(speed.secondsLeft, Infinity);
  time += 60_000;
  speed.step(64, 50_000);
  for (let i = 0; i < 60; i++) {
    time += 100;
    speed.step(64, 5);
  }
  assert.ok(Math.abs(speed.imagesPerSecond - 640) < 1e-9);
  assert.ok(Math.abs(speed.waitingShare - 0.05) < 1e-9);
  assert.ok(Math.abs(speed.secondsLeft - (100_000 - 61 * 64) / 640) < 1e-9);
});

Deno.test("speed: nothing is left once everything was seen", () => {
  let time = 0;
  const speed = new Speedometer(10, () => time);
  time = 1000;
  speed.step(20, 0);
  assert.equal(speed.secondsLeft, 0);
});
