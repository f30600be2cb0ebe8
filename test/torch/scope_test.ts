import assert from "node:assert/strict";
import fc from "fast-check";
import { ones, tensor } from "../../src/torch/create.ts";
import { call, callAll, callInPlace } from "../../src/torch/operator.ts";
import { Generator } from "../../src/torch/random.ts";
import { counters, dispose, keep, scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";

const FREED = "Tensor(freed)";

/** Asserts that `body` changes the number of live tensors by `change`. */
function assertChange(change: number, body: () => void): void {
  const before = counters().tensors;
  body();
  assert.equal(counters().tensors - before, change);
}

Deno.test("scope: temporaries are freed, the result lives", () => {
  assertChange(0, () => {
    let temporary: Tensor | undefined;
    const result = scope(() => {
      temporary = ones([2, 2]);
      return temporary.add(1);
    });
    assert.equal(String(temporary), FREED);
    assert.deepEqual(result.toNumbers(), [2, 2, 2, 2]);
    result[Symbol.dispose]();
  });
});

Deno.test("scope: results are moved out of arrays, objects and Maps, however deep", () => {
  assertChange(0, () => {
    const make = () => ({
      list: [ones([1]), [ones([1])]],
      map: new Map([["a", ones([1])], ["b", ones([1])]]),
      inner: { tensor: ones([1]), nothing: null, text: "x", missing: undefined },
      tuple: [ones([1]), 3, "text"] as const,
    });
    const result = scope(() => {
      ones([9]);
      return make();
    });
    const [first, [second]] = result.list as [Tensor, [Tensor]];
    const all = [first, second, ...result.map.values(), result.inner.tensor, result.tuple[0]];
    for (const tensor of all) assert.deepEqual(tensor.toNumbers(), [1]);
    dispose(all);
  });
});

Deno.test("scope: what a class instance or a closure holds is not moved", () => {
  class Holder {
    constructor(readonly tensor: Tensor) {}
  }
  assertChange(0, () => {
    assert.equal(String(scope(() => new Holder(ones([1]))).tensor), FREED);
    const made = ones([1]);
    assert.equal(String(scope(() => () => made)()), "Tensor(float32[1], cpu)");
    made[Symbol.dispose]();
  });
});

Deno.test("scope: an error frees everything and passes through", () => {
  assertChange(0, () => {
    assert.throws(() =>
      scope(() => {
        scope(() => ones([2]));
        ones([2]).add(ones([3]));
      }), /aten::add/);
    const error = new Error("mine");
    assert.throws(() =>
      scope(() => {
        ones([1]);
        throw error;
      }), error);
  });
});

Deno.test("scope: an asynchronous body is refused, and what it made is freed", () => {
  assertChange(0, () => {
    let body: Promise<void> | undefined;
    const run = () =>
      scope(() => {
        ones([1]);
        return body = Promise.resolve();
      });
    assert.throws(run, { name: "TypeError", message: /a scope around an asynchronous body/ });
    return void body;
  });
});

Deno.test("scope: results move to the enclosing scope, step by step", () => {
  assertChange(0, () => {
    let escaped: Tensor | undefined;
    scope(() => {
      escaped = scope(() => scope(() => ones([1])).add(1));
      assert.deepEqual(escaped.toNumbers(), [2]);
    });
    assert.equal(String(escaped), FREED);
  });
});

Deno.test("scope: tensors of an outer scope stay what they are", () => {
  assertChange(0, () => {
    using outside = ones([1]);
    scope(() => {
      const outer = ones([1]);
      assert.equal(scope(() => outer), outer);
      scope(() => outer.add_(1));
      scope(() => [outside, outer]);
      assert.deepEqual(outer.toNumbers(), [2]);
    });
    assert.deepEqual(outside.toNumbers(), [1]);
  });
});

Deno.test("scope: one tensor returned twice is moved once", () => {
  assertChange(0, () => {
    const [a, b] = scope(() => {
      const made = ones([1]);
      return [made, made];
    });
    assert.equal(a, b);
    a[Symbol.dispose]();
    b[Symbol.dispose]();
  });
});

Deno.test("scope: random trees of scopes leave exactly what they return", () => {
  type Tree = { readonly made: number; readonly kept: number; readonly inner: readonly Tree[] };
  const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.record({
      made: fc.nat({ max: 3 }),
      kept: fc.nat({ max: 2 }),
      inner: fc.oneof({ maxDepth: 4 }, fc.constant([]), fc.array(tie("tree"), { maxLength: 3 })),
    }),
  }));
  const kept: Tensor[] = [];
  const run = (tree: Tree): Tensor[] =>
    scope(() => {
      const made = Array.from({ length: tree.made }, () => ones([1]));
      for (let i = 0; i < tree.kept; i++) kept.push(keep(ones([1])));
      for (let i = 0; i < 2; i++) ones([1]);
      return [...made, ...tree.inner.flatMap(run)];
    });
  const count = (tree: Tree, part: "made" | "kept"): number =>
    tree[part] + tree.inner.reduce((sum, inner) => sum + count(inner, part), 0);
  fc.assert(fc.property(tree, (tree) => {
    assertChange(0, () => {
      const before = counters().tensors, result = run(tree);
      assert.equal(result.length, count(tree, "made"));
      assert.equal(kept.length, count(tree, "kept"));
      assert.equal(counters().tensors - before, result.length + kept.length);
      dispose([...result, ...kept.splice(0)]);
    });
  }));
});

Deno.test("keep: a kept tensor outlives its scope and any later one", () => {
  assertChange(0, () => {
    const kept = scope(() => {
      const made = keep(ones([1]));
      assert.equal(keep(made), made);
      return { [Symbol.iterator]: () => made }[Symbol.iterator];
    })();
    scope(() => keep(kept));
    scope(() => kept);
    assert.deepEqual(kept.toNumbers(), [1]);
    kept[Symbol.dispose]();
    using outside = ones([1]);
    assert.equal(keep(outside), outside);
  });
});

Deno.test("become: a tensor takes another's place and stays with its scope", () => {
  assertChange(0, () => {
    scope(() => {
      const outer = ones([1]), kept = keep(ones([1]));
      scope(() => {
        const other = tensor([5, 6], { dtype: "float64" });
        assert.deepEqual([outer.dtype, outer.shape, outer.device], ["float32", [1], "cpu"]);
        assert.equal(outer.become(other), outer);
        assert.equal(String(other), FREED);
        kept.become(ones([2]).mul(3));
      });
      assert.deepEqual([outer.dtype, outer.shape, outer.toNumbers()], ["float64", [2], [5, 6]]);
      assert.deepEqual(kept.toNumbers(), [3, 3]);
      assert.equal(outer.become(outer), outer);
      assert.deepEqual(outer.toNumbers(), [5, 6]);
      kept[Symbol.dispose]();
      kept.become(ones([4])); // a freed tensor comes to the open scope
    });
  });
  assertChange(0, () => {
    const outside = ones([1]);
    scope(() => outside.become(ones([2])));
    assert.deepEqual(outside.toNumbers(), [1, 1]);
    outside[Symbol.dispose]();
  });
});

Deno.test("dispose: using frees at the end of the block, and twice is once", () => {
  assertChange(0, () => {
    let seen: Tensor;
    {
      using made = ones([1]);
      seen = made;
    }
    assert.equal(String(seen), FREED);
    seen[Symbol.dispose]();
    dispose([seen, seen]);
  });
});

Deno.test("counters: handles, bytes of distinct storages, generators", () => {
  const before = counters();
  const base = ones([10]), view = base.slice(0, 2, 4), other = ones([3], { dtype: "float64" });
  const generator = new Generator(1);
  assert.deepEqual(counters(), {
    tensors: before.tensors + 3,
    bytes: before.bytes + 40 + 24,
    generators: before.generators + 1,
  });
  base[Symbol.dispose]();
  assert.equal(counters().bytes, before.bytes + 64, "the view holds the storage");
  dispose([view, other]);
  generator[Symbol.dispose]();
  generator[Symbol.dispose]();
  assert.deepEqual(counters(), before);
});

Deno.test("scope: results of every kind of call belong to it", () => {
  assertChange(0, () => {
    scope(() => {
      const x = ones([4, 4]);
      callAll("aten::topk", x, 2);
      call("aten::add_.Tensor", x, 1, 1);
      callInPlace("aten::_foreach_add_.Scalar", [x], 1);
      assert.throws(() => call("aten::topk", x, 2), { name: "TypeError", message: /use callAll/ });
      assert.throws(() => call("aten::unbind.int", x, 0), TypeError);
      x.requiresGrad_();
      x.sum().backward();
      assert.equal(x.grad!.numel, 16);
    });
  });
});

Deno.test("scope: more tensors than one frame holds are freed at once", () => {
  assertChange(0, () => {
    scope(() => {
      const rows = ones([70_000, 1]);
      rows.unbind();
      rows.unbind();
    });
  });
});

Deno.test("scope: the garbage collector frees what nobody else did, and only that", async () => {
  const script = new URL("collected.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--v8-flags=--expose-gc", script],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), { forgottenFreed: true, heldAlive: true });
});

Deno.test("scope: everything is freed if the result cannot be looked through", () => {
  const error = new Error("mine");
  assertChange(0, () => {
    const throwing = () =>
      scope(() => {
        const made = ones([1]);
        return {
          made,
          get other(): Tensor {
            throw error;
          },
        };
      });
    assert.throws(throwing, error);
    const endless = () =>
      scope(() => {
        const result: unknown[] = [ones([1])];
        result.push(result);
        return result;
      });
    assert.throws(endless, RangeError);
    scope(() => assert.throws(throwing, error));
  });
});
