import assert from "node:assert/strict";
import { ALONE } from "../../src/nn/peers.ts";
import { scope } from "../../src/torch/scope.ts";
import { goldenFile } from "../golden.ts";
import { runProcesses } from "./processes.ts";
import {
  type NormalizedRows,
  type NormalizeOptions,
  normalizeRows,
  type StepsOptions,
  type StepsResult,
  trainSteps,
} from "./steps.ts";

/** In float64 the order of additions is all that may differ. */
const TOLERANCE = 1e-9;
/** bfloat16 keeps 8 bits; what it changes in sums over a channel is more than this for one process, too. */
const ROUGH = 0.03;

type Numbers = Record<string, number | number[]>;

function assertNear(actual: Numbers, expected: Numbers, what: string, tolerance = TOLERANCE): void {
  assert.deepEqual(Object.keys(actual), Object.keys(expected), what);
  for (const [name, wanted] of Object.entries(expected)) {
    const a = [actual[name]].flat(), b = [wanted].flat();
    const worst = Math.max(...a.map((value, i) => Math.abs(value - b[i])));
    assert.ok(a.length === b.length && worst <= tolerance, `${what}: ${name} differs by ${worst}`);
  }
}

function losses(metrics: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).filter(([name]) => name.endsWith("loss")));
}

const CASES: Record<string, StepsOptions> = {
  "S-TEC": { stopGradient: 1, solarized: false, supervisedLambda: 1 },
  "labels reach the encoder, and solarised pairs do not count": {
    stopGradient: 0,
    solarized: true,
    supervisedLambda: 1,
  },
  "without a supervised term": { stopGradient: 1, solarized: false, supervisedLambda: 0 },
  "only the supervised head learns": { stopGradient: 2, solarized: false, supervisedLambda: 1 },
};

for (const method of ["byol", "relic"] as const) {
  for (const manipLambda of [0, 1]) {
    const options = { method, manipLambda, stopGradient: 1, solarized: false, supervisedLambda: 1 } as const;
    CASES[`${method}${manipLambda === 0 ? "" : " with efference copies"}`] = options;
  }
}

for (const [name, options] of Object.entries(CASES)) {
  for (const size of "method" in options ? [2] : [2, 4]) {
    Deno.test(`data parallel: ${size} processes learn what one does from the same batch: ${name}`, async () => {
      const alone = scope(() => trainSteps(ALONE, options));
      for (const found of await runProcesses<StepsResult>(size, "steps", JSON.stringify(options))) {
        for (const [step, metrics] of found.metrics.entries()) {
          assertNear(losses(metrics), losses(alone.metrics[step]), `step ${step}`);
          for (const [name, value] of Object.entries(metrics)) {
            // Shares are float32, and the spread of a part of the batch is not that of the whole.
            const near = name === "feature_spread" || Math.abs(value - alone.metrics[step][name]) < 1e-7;
            assert.ok(near, `${name} of step ${step}: ${value}, wanted ${alone.metrics[step][name]}`);
          }
        }
        assertNear(found.gradients, alone.gradients, "gradients");
        assertNear(found.state, alone.state, "state after five steps");
      }
    });
  }
}

Deno.test("golden methods: ReLIC on two processes is ReLIC on the whole batch", async () => {
  const golden = scope(() =>
    Object.fromEntries(
      ["loss", "grad_qa", "grad_qb"].map((name) => [
        name,
        goldenFile("methods").get(`relic.ranks.${name}`)!.toNumbers(),
      ]),
    )
  );
  type Part = { loss: number; gradientA: number[]; gradientB: number[] };
  const found = await runProcesses<Part>(2, "relic");
  const mean = found.reduce((sum, { loss }) => sum + loss / 2, 0);
  assertNear({ loss: mean }, { loss: golden.loss }, "loss");
  // Averaged over the processes: each contributes to its own rows.
  const slices = (of: (part: Part) => number[]) => found.flatMap(of).map((value) => value / 2);
  assertNear({ qa: slices((part) => part.gradientA) }, { qa: golden.grad_qa }, "gradients");
  assertNear({ qb: slices((part) => part.gradientB) }, { qb: golden.grad_qb }, "gradients");
});

const NORMALIZATIONS: Record<string, NormalizeOptions> = {
  "by itself": { dtype: "float64", relu: false, shortcut: false },
  "with a ReLU": { dtype: "float64", relu: true, shortcut: false },
  "with a shortcut and a ReLU": { dtype: "float64", relu: true, shortcut: true },
  "with a shortcut and a ReLU, in bfloat16": { dtype: "bfloat16", relu: true, shortcut: true },
};

for (const [name, options] of Object.entries(NORMALIZATIONS)) {
  Deno.test(`batch norm: two processes with long rows normalise as one does: ${name}`, async () => {
    const alone = scope(() => normalizeRows(ALONE, options));
    const found = await runProcesses<NormalizedRows>(2, "normalizeRows", JSON.stringify(options));
    const near = (actual: Numbers, expected: Numbers) =>
      assertNear(actual, expected, name, options.dtype === "float64" ? TOLERANCE : ROUGH);
    for (const what of ["outputs", "gradients", "ofShortcut"] as const) {
      near({ [what]: found.flatMap((rows) => rows[what]) }, { [what]: alone[what] });
    }
    for (const { state } of found) near(state, alone.state);
    const sums = found[0].shares.map((value, i) => value + found[1].shares[i]);
    const largest = Math.max(...alone.shares.map(Math.abs));
    near({ sums: sums.map((sum) => sum / largest) }, { sums: alone.shares.map((sum) => sum / largest) });
  });
}
