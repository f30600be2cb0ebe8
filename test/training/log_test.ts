import assert from "node:assert/strict";
import { openLog } from "../../src/training/log.ts";
import { planRun } from "../../src/training/plan.ts";
import { temporaryFolder } from "../made_data.ts";

/** What a process of that rank writes to standard error, and its files. */
function logOf(rank: number): { said: string; files: number } {
  using folder = temporaryFolder();
  const plan = planRun({ count: 8, globalBatch: 4, maxEpochs: 1, maxSteps: -1, warmupEpochs: 0 });
  const { writeSync } = Deno.stderr, said: string[] = [];
  Deno.stderr.writeSync = (bytes) => (said.push(new TextDecoder().decode(bytes)), bytes.length);
  try {
    using log = openLog({ plan, doneSteps: 0, globalBatch: 4, folder: folder.path }, rank);
    log.note("Continuing after step 3");
    const notes = ["Cannot decode a.jpg"];
    log.notes(notes);
    assert.deepEqual(notes, [], "they are taken out");
    log.write({ epoch: 0, step: 0 }, 1, { "train/loss": 1 });
    log.step({ epoch: 0, step: 0 }, 0);
  } finally {
    Deno.stderr.writeSync = writeSync;
  }
  return { said: said.join(""), files: [...Deno.readDirSync(folder.path)].length };
}

Deno.test("log: the first process tells how a run goes", () => {
  const { said, files } = logOf(0);
  assert.match(
    said,
    /^Continuing after step 3\nCannot decode a\.jpg\nepoch 1\/1 {2}step 1\/2 {2}loss 1\.000 /,
  );
  assert.equal(files, 2);
});

Deno.test("log: another process says what it alone knows, and writes no files", () => {
  assert.deepEqual(logOf(3), { said: "Process 3: Cannot decode a.jpg\n", files: 0 });
});
