import assert from "node:assert/strict";
import fc from "fast-check";
import { formatDuration, type Progress, ProgressWriter, renderProgress } from "../../src/log/progress.ts";

const PROGRESS: Progress = {
  epoch: 3,
  epochs: 100,
  step: 50,
  steps: 200,
  values: { loss: 4.2125, manip: 1.5 },
  imagesPerSecond: 1234.5,
  secondsLeft: 7384,
  waitingShare: 0.014,
};
const LINE = "epoch 3/100  step  50/200  loss 4.213  manip 1.500  1235 images/s  2:03:04 left  data 1%";

/** A writer with a clock that the test moves. */
function recorded(columns?: number) {
  const written: string[] = [], clock = { time: 0 };
  const writer = new ProgressWriter({
    write: (text) => written.push(text),
    columns: () => columns,
    now: () => clock.time,
  });
  return { writer, written, clock };
}

Deno.test("progress: without a width the line has all parts and no bar", () => {
  assert.equal(renderProgress(PROGRESS), LINE);
});

Deno.test("progress: a wide terminal gets a bar", () => {
  const bar = `[${"=".repeat(8)}${" ".repeat(22)}]  `;
  assert.equal(renderProgress(PROGRESS, 200), bar + LINE);
  assert.equal(renderProgress(PROGRESS, LINE.length + 12), `[==      ]  ${LINE}`);
});

Deno.test("progress: a narrow terminal loses the last parts, and never gets a longer line than it can show", () => {
  assert.equal(renderProgress(PROGRESS, 49), "epoch 3/100  step  50/200  loss 4.213");
  fc.assert(fc.property(fc.integer({ min: 1, max: 150 }), (width) => {
    const line = renderProgress(PROGRESS, width);
    assert.ok(line.length <= width && line.length > 0);
  }));
});

Deno.test("progress: durations", () => {
  const spans = [0, 59.4, 59.6, 3599, 3600, 360_000, Infinity, NaN];
  assert.deepEqual(spans.map(formatDuration), [
    "0s",
    "59s",
    "1:00",
    "59:59",
    "1:00:00",
    "100:00:00",
    "?",
    "?",
  ]);
});

Deno.test("progress: a terminal's line is redrawn in place, not more often than asked", () => {
  const { writer, written, clock } = recorded(40);
  for (clock.time = 0; clock.time < 1000; clock.time += 10) {
    writer.update({ ...PROGRESS, step: clock.time / 10 });
  }
  assert.equal(written.length, 10);
  for (const text of written) {
    assert.ok(text.startsWith("\r") && text.endsWith("\x1b[K"));
    const line = text.slice(1, -3);
    assert.ok(line.length < 40 && !/[\r\n]/.test(line), line);
  }
  writer.finish();
  assert.ok(written[10].includes("step  99"));
  assert.equal(written[11], "\n");
});

Deno.test("progress: a note stays above the bar, which is drawn again", () => {
  const { writer, written } = recorded(40);
  writer.update(PROGRESS);
  writer.note("left out cat.jpg");
  assert.equal(written[1], "\r\x1b[Kleft out cat.jpg\n");
  assert.equal(written[2], written[0]);
});

Deno.test("progress: what is no terminal gets plain lines from time to time and the last news at the end", () => {
  const { writer, written, clock } = recorded();
  for (clock.time = 0; clock.time < 35_000; clock.time += 1000) writer.update(PROGRESS);
  assert.deepEqual(written, new Array(4).fill(LINE + "\n"));
  writer.note("left out cat.jpg");
  assert.equal(written[4], "left out cat.jpg\n");
  writer.update({ ...PROGRESS, step: 200 });
  writer.finish();
  writer.finish();
  assert.equal(written[5], LINE.replace("step  50", "step 200") + "\n");
  assert.equal(written.length, 6);
});

Deno.test("progress: a file's name in a note cannot drive the terminal", () => {
  for (const columns of [40, undefined]) {
    const { writer, written } = recorded(columns);
    writer.note("left out \x1b[2Jcat.jpg");
    assert.ok(written[0].endsWith("left out \\u001b[2Jcat.jpg\n"), written[0]);
  }
});
