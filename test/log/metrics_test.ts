import assert from "node:assert/strict";
import { MetricsLog, RunningMeans } from "../../src/log/metrics.ts";

function inFolder(use: (path: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    use(`${folder}/metrics.jsonl`);
    assert.deepEqual([...Deno.readDirSync(folder)].map((entry) => entry.name), ["metrics.jsonl"]);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function writeSteps(path: string, steps: readonly number[], resumeStep?: number): void {
  using log = new MetricsLog(path, { resumeStep, now: () => 5500 });
  for (const step of steps) log.write(step, Math.floor(step / 2), { "train/loss": 1 / step });
}

const stepsIn = (path: string) =>
  Deno.readTextFileSync(path).trim().split("\n").map((line) => JSON.parse(line).step);

Deno.test("metrics: a line holds step, epoch, time and the values, null for what is not finite", () => {
  inFolder((path) => {
    {
      using log = new MetricsLog(path, { now: () => 1_700_000_000_250 });
      log.write(7, 1, { "train/loss": 0.5, "train/manip_loss": NaN });
    }
    const expected = '{"step":7,"epoch":1,"time":1700000000.25,"train/loss":0.5,"train/manip_loss":null}\n';
    assert.equal(Deno.readTextFileSync(path), expected);
  });
});

Deno.test("metrics: a resumed run cuts away later steps and goes on", () => {
  inFolder((path) => {
    writeSteps(path, [1, 2, 3, 4, 5]);
    writeSteps(path, [4, 5, 6], 3);
    assert.deepEqual(stepsIn(path), [1, 2, 3, 4, 5, 6]);
    writeSteps(path, [7], 6);
    assert.deepEqual(stepsIn(path), [1, 2, 3, 4, 5, 6, 7]);
  });
});

Deno.test("metrics: a line that a crash cut off is dropped", () => {
  inFolder((path) => {
    writeSteps(path, [1, 2]);
    Deno.writeTextFileSync(path, '{"step":3,"epo', { append: true });
    writeSteps(path, [3], 9);
    assert.deepEqual(stepsIn(path), [1, 2, 3]);
  });
});

Deno.test("metrics: a new run starts an empty file", () => {
  inFolder((path) => {
    writeSteps(path, [1, 2, 3]);
    writeSteps(path, [1]);
    assert.deepEqual(stepsIn(path), [1]);
  });
});

Deno.test("metrics: running means weigh what they are given", () => {
  const running = new RunningMeans();
  running.add({ loss: 1, accuracy: 0 }, 3);
  running.add({ loss: 5 });
  assert.deepEqual(running.means(), { loss: 2, accuracy: 0 });
});
