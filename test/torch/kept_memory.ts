// deno-lint-ignore-file no-console -- a script that prints what it measured
/**
 * How much memory a process takes for tensors that it makes and frees: in a process of its own, for what is kept depends
 * on the most that was in use before.
 *
 * @module
 */

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

/** Bytes that are held after tensors of 16, 17, ... 128 MB, one after the other. */
function heldAfterMany(): number {
  const before = Deno.memoryUsage().rss;
  for (let size = 16; size <= 128; size++) use(size * MB);
  return Deno.memoryUsage().rss - before;
}

/** Bytes that are mapped anew for four tensors of nearly the size of one that was freed, 256 MB. */
function mappedAnew(): number {
  use(256 * MB);
  const before = pagesGiven();
  for (let i = 0; i < 4; i++) use(256 * MB - i);
  return 4096 * (pagesGiven() - before);
}

/** Asks for more than any machine has. What cannot be had must not raise how much is kept. */
function refused(): boolean {
  try {
    use(2 ** 50);
    return false;
  } catch {
    return true;
  }
}

console.log(JSON.stringify({ refused: refused(), held: heldAfterMany(), mapped: mappedAnew() }));
