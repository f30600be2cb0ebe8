import assert from "node:assert/strict";
import { ImageFuzzer } from "./fuzz.ts";

Deno.test("fuzz: broken images of every format give an error in a sentence or an image", async () => {
  const fuzzer = new ImageFuzzer(1), results = { decoded: 0, refused: 0 };
  for (let run = 0; run < 300; run++) {
    const { name, result, fault } = await fuzzer.run(run);
    assert.equal(fault, null, `run ${run}, ${name}`);
    results[result]++;
  }
  assert.ok(results.decoded > 30 && results.refused > 100, JSON.stringify(results));
});
