import assert from "node:assert/strict";
import { join } from "node:path";
import { parseLightning } from "../../src/checkpoint/lightning.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";

/** Reads every byte of a run's last checkpoint, so that its checksums are compared, and returns its step. */
export function savedStep(results: string): number {
  using file = readCheckpoint(join(results, "last.ckpt"));
  const { stateDict, optimizerStates, globalStep } = parseLightning(file.root);
  for (const stored of stateDict.values()) stored.read();
  assert.ok(optimizerStates.length > 0);
  return globalStep;
}
