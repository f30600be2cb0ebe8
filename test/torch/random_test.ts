import assert from "node:assert/strict";
import { zeros } from "../../src/torch/create.ts";
import { callAll } from "../../src/torch/operator.ts";
import { Generator } from "../../src/torch/random.ts";
import { scope } from "../../src/torch/scope.ts";

function draw(seed: number, count = 1000): number[] {
  return scope(() => {
    using generator = new Generator(seed);
    return [
      ...zeros([count]).uniform_(-1, 3, generator).toNumbers(),
      ...zeros([count]).normal_(2, 0.5, generator).toNumbers(),
    ];
  });
}

Deno.test("random: a seed draws the same every time, other seeds others", () => {
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
  assert.deepEqual(draw(2 ** 40 + 7), draw(7), "libtorch uses the low 32 bits");
  for (const seed of [0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
    assert.deepEqual(draw(seed), draw(seed));
  }
});

Deno.test("random: seed 42 draws what torch.randn draws after torch.manual_seed(42)", () => {
  scope(() => {
    using generator = new Generator(42);
    const drawn = zeros([3]).normal_(0, 1, generator).toNumbers();
    assert.deepEqual(drawn, [0.33669036626815796, 0.12880940735340118, 0.23446236550807953]);
  });
});

Deno.test("random: generators go on where they are, independently of each other", () => {
  scope(() => {
    using a = new Generator(1), b = new Generator(1);
    const first = zeros([4]).uniform_(0, 1, a).toNumbers();
    const second = zeros([4]).uniform_(0, 1, a).toNumbers();
    assert.notDeepEqual(first, second);
    assert.deepEqual(zeros([4]).uniform_(0, 1, b).toNumbers(), first);
    assert.deepEqual(zeros([4]).uniform_(0, 1, b).toNumbers(), second);
  });
});

Deno.test("random: bounds, mean and spread", () => {
  const numbers = draw(3, 10_000), uniform = numbers.slice(0, 10_000), normal = numbers.slice(10_000);
  const mean = (list: number[]) => list.reduce((sum, n) => sum + n, 0) / list.length;
  assert.ok(uniform.every((n) => n >= -1 && n < 3));
  // Five standard errors of the mean.
  assert.ok(Math.abs(mean(uniform) - 1) < 5 * (4 / Math.sqrt(12)) / 100);
  assert.ok(Math.abs(mean(normal) - 2) < 5 * 0.5 / 100);
  assert.ok(Math.abs(Math.sqrt(mean(normal.map((n) => (n - 2) ** 2))) - 0.5) < 0.02);
});

Deno.test("random: other operators take a generator too", () => {
  scope(() => {
    using generator = new Generator(5);
    const permutation = callAll("aten::randperm.generator", 6, generator)[0] as ReturnType<typeof zeros>;
    assert.deepEqual(permutation.toNumbers().toSorted(), [0, 1, 2, 3, 4, 5]);
  });
});

Deno.test("random: seeds that are no safe integers, and freed generators, are refused", () => {
  for (const seed of [0.5, NaN, Infinity, 2 ** 53]) {
    assert.throws(() => new Generator(seed), { name: "RangeError", message: /a safe integer is needed/ });
  }
  const generator = new Generator(1);
  generator[Symbol.dispose]();
  generator[Symbol.dispose]();
  using target = zeros([2]);
  assert.throws(() => target.normal_(0, 1, generator), /aten::normal_: this generator was already freed/);
  assert.throws(() => target.normal_(0, -1), /aten::normal_: .*std/);
});
