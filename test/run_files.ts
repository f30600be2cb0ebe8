/**
 * What a run leaves in its folder, to compare.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { parseLightning } from "../src/checkpoint/lightning.ts";
import { readCheckpoint } from "../src/checkpoint/pytorch.ts";
import { StoredTensor } from "../src/checkpoint/stored_tensor.ts";

/** An entry of the metrics, by their names. */
export type Line = Record<string, number>;

/** The entries of a run's `metrics.jsonl`. */
export function metrics(folder: string): Line[] {
  return Deno.readTextFileSync(join(folder, "metrics.jsonl")).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
}

/** The same without times and speeds, which no two runs have in common. */
export function plainMetrics(folder: string): Line[] {
  return metrics(folder).map(({ time: _t, images_per_second: _i, data_waiting_share: _d, ...rest }) => rest);
}

/** Weights, buffers, the optimiser's state, the schedule and the scores of two runs must agree to the bit. */
export function assertSameState(a: string, b: string): void {
  using first = readCheckpoint(join(a, "last.ckpt")), second = readCheckpoint(join(b, "last.ckpt"));
  const bytes = (root: unknown) => {
    const { stateDict, optimizerStates, hyperParameters: _, ...rest } = parseLightning(root);
    return {
      ...rest,
      weights: [...stateDict].map(([name, stored]) => [name, stored.read()]),
      optimizer: optimizerStates.map(({ state, paramGroups }) => [
        paramGroups,
        [...state].map(([number, values]) => [
          number,
          [...values].map(([name, value]) => [name, value instanceof StoredTensor ? value.read() : value]),
        ]),
      ]),
    };
  };
  assert.deepEqual(bytes(first.root), bytes(second.root));
}
