import assert from "node:assert/strict";
import fc from "fast-check";
import { aten } from "../../src/torch/aten.ts";
import { atenTypes } from "../../src/torch/aten_declarations.ts";
import { fromTypedArray, tensor, zeros } from "../../src/torch/create.ts";
import type { DType } from "../../src/torch/dtype.ts";
import { describeLibrary } from "../../src/torch/library.ts";
import { operatorSchemas } from "../../src/torch/operator.ts";
import { parseSchema } from "../../src/torch/schema.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import { Tensor } from "../../src/torch/tensor.ts";

Deno.test("aten: an overload is found by its arguments", () => {
  scope(() => {
    const x = tensor([[3, 1, 2], [9, 8, 7]]);
    assert.deepEqual(aten.add(x, 1).toNumbers(), [4, 2, 3, 10, 9, 8]);
    assert.deepEqual(aten.add(x, x, { alpha: 2 }).toNumbers(), [9, 3, 6, 27, 24, 21]);
    assert.equal(aten.max(x).item(), 9);
    const [values, indices] = aten.max(x, 1, { keepdim: true });
    assert.deepEqual([values.shape, indices.toNumbers()], [[2, 1], [0, 0]]);
    assert.deepEqual(aten.topk(x, 2)[0].toNumbers(), [3, 2, 9, 8]);
    assert.deepEqual(aten.split(x, 2, 1).map(({ shape }) => shape), [[2, 2], [2, 1]]);
    assert.deepEqual(aten.sum(x, { dtype: "float64" }).dtype, "float64");
    assert.deepEqual(aten.sum(x, [0], { keepdim: true }).shape, [1, 3]);
  });
});

Deno.test("aten: what PyTorch gives a default may be left out of a convolution", () => {
  scope(() => {
    const x = zeros([1, 3, 8, 8]), w = zeros([4, 3, 3, 3]);
    assert.deepEqual(aten.convolution(x, w, { stride: [2, 2], padding: [1, 1] }).shape, [1, 4, 4, 4]);
    assert.deepEqual(aten.convolution(x, w).shape, [1, 4, 6, 6]);
    assert.deepEqual(aten.conv2d(x, w, { padding: 1 }).shape, [1, 4, 8, 8]);
  });
});

Deno.test("aten: results are what the schema says", () => {
  scope(() => {
    const x = tensor([1, 2]), out = zeros([2]);
    assert.equal(aten.equal(x, x), true);
    assert.equal(aten.size(x, 0), 2);
    assert.equal(aten.add_(x, 1), x);
    assert.equal(aten.mul(x, x, { out }), out);
    assert.deepEqual(out.toNumbers(), [4, 9]);
    assert.equal(aten._foreach_add_([x], 1), undefined);
    assert.deepEqual(x.toNumbers(), [3, 4]);
  });
});

Deno.test("aten: a wrong call says what the operator takes", () => {
  scope(() => {
    const x = tensor([1, 2]), untyped = aten as unknown as Record<string, (...args: unknown[]) => unknown>;
    assert.throws(() => untyped.topk(x, "two"), {
      name: "TypeError",
      message:
        /^Cannot call aten\.topk\(Tensor, "two"\): it takes aten::topk\(self: Tensor, k: int, dim\?: int/,
    });
    assert.throws(() => untyped.topk(x, { kk: 1 }), /kk: number\): it takes/);
    assert.throws(() => untyped.topk(x, 1, { k: 1 }), /Cannot call aten\.topk/);
    assert.throws(() => untyped.tokp, { message: "Cannot call aten.tokp: libtorch has no such operator" });
    assert.throws(() => aten.topk(x, 5), /aten::topk.*float32\[2\]/);
  });
});

Deno.test("aten: wrong names, arguments and results do not compile", () => {
  const never = (): void => {
    const x = tensor([1]);
    // @ts-expect-error: no operator has this name
    aten.tokp(x, 1);
    // @ts-expect-error: k is a number
    aten.topk(x, "1");
    // @ts-expect-error: topk has no such argument
    aten.topk(x, 1, { keepdim: true });
    // @ts-expect-error: topk returns a tuple
    const one: Tensor = aten.topk(x, 1);
    // @ts-expect-error: no dtype has this name
    aten.sum(x, { dtype: "float23" });
    return void one;
  };
  assert.equal(typeof never, "function");
});

Deno.test("aten: the declarations are those of the loaded libtorch", () => {
  const path = new URL("../../src/torch/aten_types.d.ts", import.meta.url),
    written = Deno.readTextFileSync(path);
  if (!written.includes(`libtorch ${describeLibrary().version}.`)) return;
  assert.equal(written, atenTypes(), "run scripts/write_aten_types.ts");
});

Deno.test("schema: every schema of ATen in the loaded libtorch can be read", () => {
  const schemas = operatorSchemas().filter((text) => text.startsWith("aten::"));
  assert(schemas.length > 3000);
  for (const text of schemas) {
    const schema = parseSchema(text);
    assert(text.startsWith(`${schema.key}(`), text);
    for (const { type } of [...schema.arguments, ...schema.results]) {
      assert.match(type.base, /^[\w.]+$/, text);
    }
  }
});

const SIZE = { min: 1, max: 12 };

Deno.test("complex: a Fourier transform is its definition, and is undone by its inverse", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 1, maxLength: SIZE.max }),
      (x) => {
        scope(() => {
          const input = tensor(x, { dtype: "float64" }), transformed = aten.fft_fft(input);
          assert.equal(transformed.dtype, "complex128");
          const parts = transformed.viewAsReal().toNumbers();
          for (let k = 0; k < x.length; k++) {
            let real = 0, imaginary = 0;
            for (const [n, value] of x.entries()) {
              real += value * Math.cos(2 * Math.PI * k * n / x.length);
              imaginary -= value * Math.sin(2 * Math.PI * k * n / x.length);
            }
            assert(Math.abs(parts[2 * k] - real) < 1e-9 && Math.abs(parts[2 * k + 1] - imaginary) < 1e-9);
          }
          const back = aten.real(aten.fft_ifft(transformed)).toNumbers();
          assert(back.every((value, i) => Math.abs(value - x[i]) < 1e-9));
        });
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("complex: elements travel as pairs, and gradients flow through a transform", () => {
  scope(() => {
    const pairs = Float32Array.of(1, 2, 3, -4), z = fromTypedArray(pairs, [2], "complex64");
    assert.deepEqual([z.shape, z.dtype], [[2], "complex64"]);
    assert.deepEqual(z.toTypedArray(), pairs);
    assert.deepEqual(aten.abs(z).toNumbers().map((value) => value.toFixed(4)), ["2.2361", "5.0000"]);
    assert.throws(() => z.toNumbers(), /viewAsReal/);
    assert.throws(() => z.select(0, 0).item(), /viewAsReal/);
    assert.deepEqual(tensor([[1, 2]]).viewAsComplex().shape, [1]);
    const x = tensor([1, 2, 3]).requiresGrad_();
    // Parseval: the energy of a transform is n times the energy of the input.
    aten.sum(aten.square(aten.abs(aten.fft_fft(x)))).backward();
    assert.deepEqual(x.grad?.toNumbers().map((value) => value.toFixed(3)), ["6.000", "12.000", "18.000"]);
  });
});

for (
  const [dtype, array] of [
    ["uint16", Uint16Array.of(0, 65535)],
    ["uint32", Uint32Array.of(0, 4294967295)],
    ["uint64", BigUint64Array.of(0n, 18446744073709551615n)],
  ] as const
) {
  Deno.test(`dtype: ${dtype} comes back as it was sent`, () => {
    scope(() => {
      const sent = fromTypedArray(array, [2], dtype as DType);
      assert.equal(sent.dtype, dtype);
      assert.deepEqual(sent.toTypedArray(), array);
      assert.deepEqual(aten.zeros([2], { dtype: dtype as DType }).toNumbers(), [0, 0]);
    });
  });
}

Deno.test("aten: 100,000 calls of random operators leave the counters as they were", () => {
  scope(() => {
    const a = aten.add(aten.abs(aten.randn([3, 3])), 0.5), b = aten.add(aten.abs(aten.randn([3, 3])), 0.5);
    const calls: readonly (() => unknown)[] = [
      () => aten.add(a, b),
      () => aten.topk(a, 2),
      () => aten.split(a, 1),
      () => aten.sum(a, [0], { keepdim: true }),
      () => aten.linalg_svd(a),
      () => aten.fft_fft2(a),
      () => aten.where(aten.gt(a, b), a, b),
      () => aten.equal(a, b),
      () => aten._foreach_mul([a, b], 2),
      () => aten.mul(a, b, { out: aten.empty([3, 3]) }),
      () => {
        try {
          aten.matmul(a, aten.zeros([4, 4]));
        } catch { /* refused: nothing may stay behind */ }
      },
    ];
    const before = counters();
    let state = 1;
    for (let i = 0; i < 100_000; i += 100) {
      scope(() => {
        for (let k = 0; k < 100; k++) {
          state = (state * 48271) % 2147483647;
          calls[state % calls.length]();
        }
      });
    }
    assert.deepEqual(counters(), before);
  });
});
