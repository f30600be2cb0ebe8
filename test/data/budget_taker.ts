/// <reference lib="deno.worker" />

import { SharedBudget } from "../../src/data/budget.ts";

self.onmessage = ({ data: { memory, amount, go } }) => {
  const held = new SharedBudget(memory).take(amount);
  self.postMessage("has it");
  Atomics.wait(new Int32Array(go), 0, 0);
  held[Symbol.dispose]();
  self.postMessage("returned it");
};
