import assert from "node:assert/strict";

const STEPS = 500, SETTLED = 50;

/** Runs memory_steps.ts and returns tensors, bytes, generators and resident bytes after each step. */
async function measure(): Promise<Float64Array[]> {
  const script = new URL("memory_steps.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    // V8's young generation grows as it likes, by more than two hundredths of so small a process.
    args: ["run", "-A", "--v8-flags=--max-semi-space-size=1", script],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  const numbers = new Float64Array(stdout.slice().buffer);
  return Array.from({ length: numbers.length / 4 }, (_, step) => numbers.subarray(4 * step, 4 * step + 4));
}

/** The median of resident memory over the 50 steps from `start` on: single steps are caught with V8's garbage. */
function resident(steps: readonly Float64Array[], start: number): number {
  return steps.slice(start, start + SETTLED).map((step) => step[3]).sort((a, b) => a - b)[SETTLED / 2];
}

Deno.test("memory: over 500 training steps nothing is left alive, and resident memory stays flat", async () => {
  const steps = await measure();
  assert.equal(steps.length, STEPS);
  // The optimiser's memory comes about in the first step.
  for (const step of steps) assert.deepEqual([...step.subarray(0, 3)], [...steps[0].subarray(0, 3)]);
  const growth = resident(steps, STEPS - SETTLED) / resident(steps, SETTLED) - 1;
  assert.ok(
    growth < 0.02,
    `resident memory grew by ${(100 * growth).toFixed(1)}% after the first ${SETTLED} steps`,
  );
});
