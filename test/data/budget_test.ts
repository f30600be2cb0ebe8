import assert from "node:assert/strict";
import { SharedBudget } from "../../src/data/budget.ts";
import { Station } from "../../src/data/station.ts";

class Taker implements Disposable {
  readonly #worker = new Worker(new URL("./budget_taker.ts", import.meta.url), { type: "module" });
  readonly #go = new Int32Array(new SharedArrayBuffer(4));
  readonly #said: string[] = [];
  #heard = Promise.withResolvers<void>();

  constructor(memory: SharedArrayBuffer, amount: number) {
    this.#worker.onmessage = ({ data }) => {
      this.#said.push(data);
      this.#heard.resolve();
    };
    this.#worker.postMessage({ memory, amount, go: this.#go.buffer });
  }

  async next(): Promise<string> {
    while (this.#said.length === 0) {
      await this.#heard.promise;
      this.#heard = Promise.withResolvers();
    }
    return this.#said.shift()!;
  }

  get isSilent(): boolean {
    return this.#said.length === 0;
  }

  finish(): void {
    Atomics.store(this.#go, 0, 1);
    Atomics.notify(this.#go, 0);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

Deno.test("budget: threads wait for each other where the whole is not enough for both", async () => {
  const { memory } = SharedBudget.of(10), left = () => new Int32Array(memory)[0];
  using first = new Taker(memory, 7);
  assert.equal(await first.next(), "has it");
  using small = new Taker(memory, 3);
  assert.equal(await small.next(), "has it");
  assert.equal(left(), 0);
  using whole = new Taker(memory, 10);
  first.finish();
  assert.equal(await first.next(), "returned it");
  assert.deepEqual([left(), whole.isSilent], [7, true]);
  small.finish();
  assert.equal(await whole.next(), "has it");
  assert.equal(left(), 0);
  whole.finish();
  assert.equal(await whole.next(), "returned it");
  assert.equal(left(), 10);
});

Deno.test("station: looks are counted while a worker stays at one file, and only then", () => {
  const seen = new Station(), worker = new Station(seen.memory);
  const looks = () => seen.look()?.looks ?? 0;
  assert.deepEqual([looks(), looks()], [0, 0], "it has not begun");
  worker.begin({ job: 3, file: 7 });
  assert.deepEqual([looks(), looks(), looks()], [0, 1, 2]);
  assert.deepEqual(seen.look(), { job: 3, file: 7, looks: 3 });
  worker.begin({ job: 3, file: 7 });
  assert.deepEqual([looks(), looks()], [0, 1], "it went on with the file");
  worker.leave();
  assert.deepEqual([looks(), looks(), seen.isBusy], [0, 0, false]);
});
