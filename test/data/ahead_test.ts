import assert from "node:assert/strict";
import { Ahead } from "../../src/data/ahead.ts";

/** Tasks that note when they begin. */
function noted(): { begun: number[]; start: (index: number) => Promise<number> } {
  const begun: number[] = [];
  return {
    begun,
    start: (index) => {
      begun.push(index);
      return Promise.resolve(10 * index);
    },
  };
}

Deno.test("ahead: the next tasks are under way while one is used, never more", async () => {
  const { begun, start } = noted(), ahead = new Ahead(start, 2);
  assert.equal(await ahead.get(3), 30);
  assert.deepEqual(begun, [3, 4, 5]);
  assert.equal(await ahead.get(4), 40);
  assert.deepEqual(begun, [3, 4, 5, 6]);
});

Deno.test("ahead: nothing is begun after the end", async () => {
  const { begun, start } = noted(), ahead = new Ahead(start, 2, 3);
  for (const index of [0, 1, 2]) assert.equal(await ahead.get(index), 10 * index);
  assert.deepEqual(begun, [0, 1, 2]);
});

Deno.test("ahead: a jump begins anew, and what was begun is begun again when it is needed again", async () => {
  const { begun, start } = noted(), ahead = new Ahead(start, 1);
  for (const index of [0, 7, 0]) assert.equal(await ahead.get(index), 10 * index);
  assert.deepEqual(begun, [0, 1, 7, 8, 0, 1]);
});

Deno.test("ahead: a failure is heard of when its turn comes", async () => {
  const ahead = new Ahead(
    (index) => index === 1 ? Promise.reject(new Error("one")) : Promise.resolve(index),
    3,
  );
  assert.equal(await ahead.get(0), 0);
  await new Promise((resolve) => setTimeout(resolve));
  await assert.rejects(() => ahead.get(1), /one/);
  assert.equal(await ahead.get(2), 2);
});
