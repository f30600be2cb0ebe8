/** Forgets tensors and generators, collects garbage and prints what became of them. Run by scope_test.ts. */

import { ones } from "../../src/torch/create.ts";
import { Generator } from "../../src/torch/random.ts";
import { counters, keep, scope } from "../../src/torch/scope.ts";

const FORGOTTEN = 1000;
const { gc } = globalThis as unknown as { gc: () => void };

const held = [ones([1]), scope(() => keep(ones([1]))), scope(() => ones([1])).become(ones([2]))];
(function forget() {
  const changed = Array.from({ length: FORGOTTEN }, () => ones([1]));
  for (let i = 0; i < FORGOTTEN; i++) ones([1]);
  for (const tensor of changed) tensor.become(ones([2]));
  scope(() => void keep(ones([1])));
  new Generator(1);
})();

// The last tensors are shown to the collector when more are made.
const left = () => counters().tensors - held.length < 100 && counters().generators === 0;
for (let round = 0; round < 200 && !left(); round++) {
  gc();
  await new Promise((resolve) => setTimeout(resolve, 5));
}
const report = { forgottenFreed: left(), heldAlive: held.every((tensor) => tensor.sum().item() > 0) };
Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(report)));
