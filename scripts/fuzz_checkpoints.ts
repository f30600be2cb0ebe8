/**
 * Reads files broken at random, as many as asked for:
 *
 *     deno run --allow-read --allow-write scripts/fuzz_checkpoints.ts --runs 100000 [--seed 1] [--from 0]
 *
 * Ends with status 1 where one of them gave anything but an error in a sentence or a right result; `--from N --runs 1` repeats
 * number N.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { Fuzzer, type Outcome } from "../test/checkpoint/fuzz.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    from: { type: "string", default: "0" },
  },
});
const [runs, seed, from] = [values.runs, values.seed, values.from].map(Number);

const print = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

const folder = Deno.makeTempDirSync({ prefix: "stec-fuzz-" });
const counts = { read: 0, refused: 0, faults: 0 };
let slowest = 0, largest = 0;
const start = performance.now();
try {
  const fuzzer = new Fuzzer(folder, seed);
  for (let run = from; run < from + runs; run++) count(run, fuzzer.run(run));
} finally {
  Deno.removeSync(folder, { recursive: true });
}
const seconds = ((performance.now() - start) / 1000).toFixed(0);
print(
  `${runs} broken files in ${seconds} s: ${counts.read} read, ${counts.refused} refused, ${counts.faults} faults`,
);
print(`the slowest took ${slowest.toFixed(0)} ms, the largest ${(largest / 1e6).toFixed(1)} MB of memory`);
Deno.exit(counts.faults > 0 ? 1 : 0);

function count(run: number, { name, result, fault, milliseconds, bytes }: Outcome): void {
  counts[result]++;
  slowest = Math.max(slowest, milliseconds);
  largest = Math.max(largest, bytes);
  if (fault === null) return;
  counts.faults++;
  print(`run ${run}, ${name}: ${fault}`);
}
