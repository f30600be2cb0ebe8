import assert from "node:assert/strict";
import { endOf, startProcesses } from "./processes.ts";

Deno.test("together: what one process failed of is said by all", async () => {
  const ends = await Promise.all(startProcesses(3, "fail").map(endOf));
  for (const [rank, { code, errors }] of ends.entries()) {
    assert.equal(code, 1);
    const own = /RangeError: Cannot read the disk: it is on fire/;
    assert.match(
      errors,
      rank === 1 ? own : /Cannot go on: rank 1 failed: Cannot read the disk: it is on fire/,
    );
  }
});
