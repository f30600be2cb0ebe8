import assert from "node:assert/strict";
import fc from "fast-check";
import { brief } from "../../src/checkpoint/brief.ts";
import { PickleGlobal, PickleObject } from "../../src/checkpoint/pickle_values.ts";

Deno.test("brief: plain values are written as JSON has them, text as it is", () => {
  assert.equal(brief("a name"), "a name");
  assert.equal(brief([1, "a", null, [true, 2n ** 70n]]), `[1, "a", null, [true, ${2n ** 70n}]]`);
  assert.equal(brief(new Map<unknown, unknown>([["lr", 0.5], [3, new Set([1])]])), '{"lr": 0.5, 3: {1}}');
  assert.equal(brief({ params: [0, 1] }), '{"params": [0, 1]}');
  assert.equal(
    brief(new PickleObject(new PickleGlobal("argparse", "Namespace"), [])),
    "<object of argparse.Namespace>",
  );
});

Deno.test("brief: lists that double at every level, or contain themselves, take no more than the line", () => {
  let doubled: unknown = 1;
  for (let i = 0; i < 10_000; i++) doubled = [doubled, doubled];
  const self: unknown[] = [];
  self.push(self, self);
  const map = new Map<unknown, unknown>();
  map.set(map, map);
  for (const value of [doubled, self, map, { doubled }, new Set([doubled])]) {
    assert.ok(brief(value).length <= 203 && brief(value).endsWith("..."));
  }
});

Deno.test("brief: whatever the value, one line that is no longer than asked", () => {
  fc.assert(
    fc.property(
      fc.anything({ withMap: true, withSet: true, withBigInt: true }),
      fc.nat(300),
      (value, limit) => {
        const line = brief(value, limit);
        assert.ok(line.length <= 2 * limit + 3, "a line break takes two characters");
        assert.doesNotMatch(line, /[\n\r\u2028\u2029]/);
      },
    ),
  );
});
