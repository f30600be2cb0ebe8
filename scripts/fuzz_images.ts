/**
 * Decodes images broken at random, as many as asked for:
 *
 *     deno run -A scripts/fuzz_images.ts --runs 2000 [--seed 1] [--from 0]
 *
 * Ends with status 1 where one of them gave anything but an error in a sentence or an image; `--from N --runs 1` repeats
 * number N.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { ImageFuzzer } from "../test/data/fuzz.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" },
    from: { type: "string", default: "0" },
  },
});
const [runs, seed, from] = [values.runs, values.seed, values.from].map(Number);

const print = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

const fuzzer = new ImageFuzzer(seed), counts = { decoded: 0, refused: 0, faults: 0 };
let slowest = 0;
const start = performance.now();
for (let run = from; run < from + runs; run++) {
  const { name, result, fault, milliseconds } = await fuzzer.run(run);
  counts[result]++;
  slowest = Math.max(slowest, milliseconds);
  if (fault === null) continue;
  counts.faults++;
  print(`run ${run}, ${name}: ${fault}`);
}
const seconds = ((performance.now() - start) / 1000).toFixed(0);
const peak = Number(/VmHWM:\s*(\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))![1]) / 1e3;
print(
  `${runs} broken images in ${seconds} s: ${counts.decoded} decoded, ${counts.refused} refused, ${counts.faults} faults`,
);
print(`the slowest took ${slowest.toFixed(0)} ms, the process ${peak.toFixed(0)} MB of memory at most`);
Deno.exit(counts.faults > 0 ? 1 : 0);
