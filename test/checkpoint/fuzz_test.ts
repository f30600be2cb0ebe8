import assert from "node:assert/strict";
import { inFolder } from "./files.ts";
import { Fuzzer } from "./fuzz.ts";

Deno.test("fuzz: broken files of every form give an error in a sentence or a right result", () => {
  inFolder((folder) => {
    const fuzzer = new Fuzzer(folder, 1);
    const results = { read: 0, refused: 0 };
    for (let run = 0; run < 1000; run++) {
      const { name, result, fault } = fuzzer.run(run);
      assert.equal(fault, null, `run ${run}, ${name}`);
      results[result]++;
    }
    assert.ok(results.read > 50 && results.refused > 500, JSON.stringify(results));
    assert.deepEqual([...Deno.readDirSync(folder)].map((entry) => entry.name), ["broken"]);
  });
});
