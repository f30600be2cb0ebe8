import assert from "node:assert/strict";
import { zeros } from "../../src/torch/create.ts";

const MB = 2 ** 20;

/** Makes a tensor of so many bytes, writes to all of them and frees it. */
function use(bytes: number): void {
  using _ = zeros([bytes], { dtype: "uint8" }).fill_(1);
}

/** How many pages the system has given to this process so far. */
function pagesGiven(): number {
  const fields = Deno.readTextFileSync("/proc/self/stat").split(") ")[1].split(" ");
  return Number(fields[7]);
}

Deno.test("memory: a large block that was freed serves the next tensor of its size", () => {
  use(256 * MB);
  const before = pagesGiven();
  for (let i = 0; i < 4; i++) use(256 * MB - i);
  const pages = pagesGiven() - before;
  assert.ok(pages < 256 * MB / 4096, `${pages} pages were mapped anew`);
});

Deno.test("memory: blocks of sizes that are not used any more do not pile up", () => {
  const before = Deno.memoryUsage().rss;
  for (let size = 16; size <= 128; size++) use(size * MB);
  const grown = Deno.memoryUsage().rss - before;
  // 16 + 17 + ... + 128 MB were used; at most twice the largest may be kept.
  assert.ok(grown < 3 * 128 * MB, `${Math.round(grown / MB)} MB are still held`);
});
