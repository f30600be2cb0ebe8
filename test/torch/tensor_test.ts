import assert from "node:assert/strict";
import fc from "fast-check";
import { type DType, DTYPE_NUMBERS, isComplex, isFloating } from "../../src/torch/dtype.ts";
import { call } from "../../src/torch/operator.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import { Tensor } from "../../src/torch/tensor.ts";
import { arange, DEVICE, fromTypedArray, ones, tensor, zeros } from "../device.ts";
import { assertClose } from "../golden.ts";

const DTYPES = Object.keys(DTYPE_NUMBERS) as DType[];

function float64(data: readonly number[]): Tensor {
  return fromTypedArray(Float64Array.from(data));
}

/** Asserts that a tensor's elements are these, to the last bit or, with a tolerance, nearly. */
function assertNumbers(actual: Tensor, expected: readonly number[], rtol = 0): void {
  assertClose(actual.flatten().double(), float64(expected), { rtol });
}

const finite = fc.double({ min: -1e3, max: 1e3, noNaN: true });
const vector = fc.array(finite, { minLength: 1, maxLength: 20 });

Deno.test("tensor: arithmetic on vectors agrees with JavaScript's on numbers", () => {
  fc.assert(fc.property(vector, finite, finite, (numbers, c, alpha) => {
    scope(() => {
      const a = float64(numbers), other = numbers.map((n) => n / 3 + 1), b = float64(other);
      const both = (f: (p: number, q: number) => number) => numbers.map((p, i) => f(p, other[i]));
      assertNumbers(a.add(b, alpha), both((p, q) => p + alpha * q), 1e-12);
      assertNumbers(a.sub(b, alpha), both((p, q) => p - alpha * q), 1e-12);
      assertNumbers(a.mul(b), both((p, q) => p * q));
      assertNumbers(a.div(b), both((p, q) => p / q));
      assertNumbers(a.add(c, alpha), numbers.map((p) => p + c * alpha), 1e-12);
      assertNumbers(a.sub(c), numbers.map((p) => p - c));
      assertNumbers(a.mul(c), numbers.map((p) => p * c));
      assertNumbers(a.minimum(b), both(Math.min));
      assertNumbers(a.maximum(b), both(Math.max));
      assertNumbers(a.neg(), numbers.map((p) => 0 - p));
      assertNumbers(a.abs(), numbers.map(Math.abs));
      assertNumbers(a.floor(), numbers.map(Math.floor));
      assertNumbers(a.relu(), numbers.map((p) => Math.max(p, 0)));
      assertNumbers(a.clamp(-1, 5), numbers.map((p) => Math.min(Math.max(p, -1), 5)));
      assertNumbers(a.clamp(null, 5), numbers.map((p) => Math.min(p, 5)));
      assertNumbers(a.clamp(2), numbers.map((p) => Math.max(p, 2)));
    });
  }));
});

Deno.test("tensor: elementary functions agree with JavaScript's", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 1e-3, max: 50, noNaN: true }), { minLength: 1 }), (numbers) => {
      scope(() => {
        const a = float64(numbers);
        assertNumbers(a.exp(), numbers.map(Math.exp), 1e-12);
        assertNumbers(a.log(), numbers.map(Math.log), 1e-9);
        assertNumbers(a.sqrt(), numbers.map(Math.sqrt), 1e-15);
        assertNumbers(a.rsqrt(), numbers.map((p) => 1 / Math.sqrt(p)), 1e-14);
        assertNumbers(a.pow(1.5), numbers.map((p) => p ** 1.5), 1e-12);
        assertNumbers(a.isFinite(), numbers.map(() => 1));
      });
    }),
  );
});

Deno.test("tensor: edge cases of rounding, remainders and zeros", () => {
  scope(() => {
    assertNumbers(float64([0.5, 1.5, 2.5, -0.5, -1.5]).round(), [0, 2, 2, -0, -2]);
    assertNumbers(float64([-7, 7, -0.5]).remainder(3), [2, 1, 2.5]);
    assertNumbers(tensor([-7, 7], { dtype: "int64" }).remainder(-3), [-1, -2]);
    assertNumbers(float64([1, -1, 0]).div(0), [Infinity, -Infinity, NaN]);
    assertNumbers(float64([NaN, Infinity, 1]).isFinite(), [0, 0, 1]);
    // A scalar of -0 must not become the whole number 0.
    assert.deepEqual(float64([1]).mul(-0).toNumbers(), [-0]);
    assert.deepEqual(zeros([1]).fill_(-0).toNumbers(), [-0]);
  });
});

Deno.test("tensor: numbers beside tensors take their dtype, as in PyTorch", () => {
  scope(() => {
    const promoted = (dtype: DType, other: number) => ones([1], { dtype }).add(other).dtype;
    // libtorch converts uint16, uint32 and uint64, but does not calculate with them.
    for (const dtype of DTYPES.filter((each) => !/^uint(16|32|64)$/.test(each))) {
      if (dtype !== "bool") assert.equal(promoted(dtype, 2), dtype);
      assert.equal(promoted(dtype, 0.5), isFloating(dtype) || isComplex(dtype) ? dtype : "float32");
    }
    assert.equal(promoted("bool", 2), "int64");
    assert.equal(ones([1], { dtype: "int64" }).div(2).dtype, "float32");
    assert.equal(ones([1], { dtype: "uint8" }).add(ones([1], { dtype: "int8" })).dtype, "int16");
    assert.equal(ones([1], { dtype: "float16" }).add(ones([1], { dtype: "bfloat16" })).dtype, "float32");
    assert.equal(ones([1]).add(tensor(1, { dtype: "float64" })).dtype, "float32");
  });
});

Deno.test("tensor: comparisons give bool", () => {
  fc.assert(fc.property(vector, finite, (numbers, c) => {
    scope(() => {
      const a = float64(numbers), b = float64(numbers.toReversed());
      const against = (f: (p: number, q: number) => boolean) => [
        numbers.map((p, i) => Number(f(p, numbers[numbers.length - 1 - i]))),
        numbers.map((p) => Number(f(p, c))),
      ];
      const check = (results: Tensor[], f: (p: number, q: number) => boolean) => {
        assert.deepEqual(results.map((result) => result.dtype), ["bool", "bool"]);
        assert.deepEqual(results.map((result) => result.toNumbers()), against(f));
      };
      check([a.eq(b), a.eq(c)], (p, q) => p === q);
      check([a.ne(b), a.ne(c)], (p, q) => p !== q);
      check([a.lt(b), a.lt(c)], (p, q) => p < q);
      check([a.le(b), a.le(c)], (p, q) => p <= q);
      check([a.gt(b), a.gt(c)], (p, q) => p > q);
      check([a.ge(b), a.ge(c)], (p, q) => p >= q);
      assertNumbers(a.gt(0).logicalNot(), numbers.map((p) => Number(!(p > 0))));
      assertNumbers(a.gt(0).logicalAnd(a.lt(c)), numbers.map((p) => Number(p > 0 && p < c)));
      assert.equal(a.le(b).all().item(), Number(against((p, q) => p <= q)[0].every(Boolean)));
    });
  }));
});

Deno.test("tensor: reductions", () => {
  scope(() => {
    const a = fromTypedArray(new Float64Array([1, 2, 3, 4, 5, 9]), [2, 3]);
    assertNumbers(a.sum(), [24]);
    assertNumbers(a.sum([0]), [5, 7, 12]);
    assert.deepEqual(a.sum([1], true).shape, [2, 1]);
    assertNumbers(a.mean(), [4]);
    assertNumbers(a.mean([1]), [2, 6]);
    assertNumbers(a.mean([0, 1]), [4]);
    assertNumbers(a.std([1]), [1, Math.sqrt(7)], 1e-15);
    assertNumbers(a.std([1], 0), [Math.sqrt(2 / 3), Math.sqrt(14 / 3)], 1e-15);
    assertNumbers(a.std(), [Math.sqrt(40 / 5)], 1e-15);
    assertNumbers(a.amax(), [9]);
    assertNumbers(a.amax([0]), [4, 5, 9]);
    assert.deepEqual(a.amin([1], true).shape, [2, 1]);
    assertNumbers(a.amin([1]), [1, 4]);
    assertNumbers(a.argmax(0), [1, 1, 1]);
    assert.equal(a.argmax(1).dtype, "int64");
    assertNumbers(a.norm(), [Math.sqrt(136)], 1e-15);
    const [values, positions] = a.topk(2);
    assertNumbers(values, [3, 2, 9, 5]);
    assertNumbers(positions, [2, 1, 2, 1]);
    assertNumbers(a.softmax(1).sum([1]), [1, 1], 1e-15);
    assertNumbers(a.softmax(1), [...a.logSoftmax(1).exp().toNumbers()], 1e-14);
    assert.equal(ones([3], { dtype: "uint8" }).sum().dtype, "int64");
    assert.equal(zeros([0]).sum().item(), 0);
  });
});

Deno.test("tensor: matmul agrees with three loops, batched and broadcast", () => {
  const size = fc.integer({ min: 1, max: 5 });
  fc.assert(fc.property(size, size, size, (n, k, m) => {
    scope(() => {
      const a = arange(0, 2 * n * k).reshape(2, n, k).double(), b = arange(0, k * m).reshape(k, m).double();
      const p = a.toNumbers(), q = b.toNumbers(), expected: number[] = [];
      for (let row = 0; row < 2 * n; row++) {
        for (let column = 0; column < m; column++) {
          let sum = 0;
          for (let i = 0; i < k; i++) sum += p[row * k + i] * q[i * m + column];
          expected.push(sum);
        }
      }
      const product = a.matmul(b);
      assert.deepEqual(product.shape, [2, n, m]);
      assertNumbers(product, expected);
    });
  }));
});

Deno.test("tensor: methods in place change the tensor and return it itself", () => {
  scope(() => {
    const a = fromTypedArray(new Float64Array([-2, -1, 1, 2]));
    const before = counters().tensors;
    assert.equal(a.add_(1), a);
    assert.equal(a.mul_(3), a);
    assert.equal(a.div_(1.5), a);
    assert.equal(a.clamp_(-1, 5), a);
    assert.deepEqual(a.toNumbers(), [-1, 0, 4, 5]);
    assert.equal(a.relu_(), a);
    assert.equal(a.zero_().fill_(2), a);
    assert.equal(a.normal_(), a);
    assert.equal(a.uniform_(), a);
    assert.equal(counters().tensors, before);
    const b = tensor([1, 2, 3, 4], { dtype: "int64" });
    assert.equal(a.copy_(b), a);
    assert.deepEqual(a.add_(a, 2).mul_(b).toNumbers(), [3, 12, 27, 48]);
    assert.deepEqual(a.maskedFill_(b.gt(2), -1).toNumbers(), [3, 12, -1, -1]);
    assert.throws(() => b.add_(0.5), /aten::add_.Tensor: .*int64\[4\]|can't be cast/);
    assert.throws(() => b.copy_(ones([3])), /aten::copy_: .*int64\[4\], float32\[3\]/);
  });
});

Deno.test("tensor: every other method returns a tensor of its own, even where nothing is to do", () => {
  scope(() => {
    const a = ones([2, 2]);
    const same = [
      a.to({ dtype: "float32" }),
      a.float(),
      a.contiguous(),
      a.expand(2, 2),
      a.reshape(2, 2),
      a.detach(),
    ];
    for (const result of same) {
      assert.notEqual(result, a);
      result.fill_(3);
      result[Symbol.dispose]();
    }
    assert.deepEqual(a.toNumbers(), [3, 3, 3, 3]);
  });
});

Deno.test("tensor: to converts dtype, device and memory format", () => {
  scope(() => {
    const source = fromTypedArray(new Float64Array([0, 1, 2.75, 200]));
    for (const dtype of DTYPES) assert.equal(source.to({ dtype }).dtype, dtype);
    assert.deepEqual(source.to({ dtype: "int64" }).toNumbers(), [0, 1, 2, 200]);
    assert.deepEqual(source.to({ dtype: "bool" }).toNumbers(), [0, 1, 1, 1]);
    assert.equal(source.to({ device: "cpu" }).device, "cpu");
    assert.equal(source.to({ device: "meta" }).device, "meta");
    assert.equal(source.float().double().dtype, "float64");
    assert.throws(() => source.to({ device: "meta" }).toNumbers(), /copy a tensor out: .*meta/);
  });
});

Deno.test("tensor: channels_last is kept by operators and read out in NCHW order", () => {
  scope(() => {
    const plain = arange(0, 24).reshape(1, 2, 3, 4).float();
    const last = plain.contiguous("channels_last");
    assert.deepEqual([last.isChannelsLast, last.isContiguous], [true, false]);
    assert.deepEqual(last.strides, [24, 1, 8, 2]);
    assert.deepEqual(last.toNumbers(), plain.toNumbers());
    assert.equal(last.mul(2).relu_().isChannelsLast, true);
    assert.equal(plain.to({ memoryFormat: "channels_last" }).isChannelsLast, true);
    assert.equal(last.contiguous().isContiguous, true);
    assert.equal(ones([2, 2]).isChannelsLast, false);
    assert.throws(() => ones([2, 2]).contiguous("channels_last"), /aten::contiguous: .*rank 4/);
  });
});

Deno.test("tensor: item is a number, whatever the dtype", () => {
  scope(() => {
    for (const dtype of DTYPES.filter((each) => !isComplex(each))) {
      assert.strictEqual(ones([], { dtype }).item(), 1);
    }
    assert.equal(tensor(2 ** 53 - 1, { dtype: "int64" }).item(), 2 ** 53 - 1);
    assert.equal(ones([1, 1]).item(), 1);
    assert.throws(() => ones([2]).item(), /aten::item: .*2 elements/);
    assert.throws(() => ones([0]).item(), /aten::item/);
  });
});

Deno.test("tensor: a freed tensor says so instead of being used", () => {
  const freed = ones([2]);
  freed[Symbol.dispose]();
  freed[Symbol.dispose]();
  assert.equal(String(freed), "Tensor(freed)");
  using other = ones([2]).requiresGrad_();
  const message = /this tensor was already freed, or never existed/;
  assert.throws(() => freed.add(1), { name: "TorchError", message });
  assert.throws(() => other.add(freed), { name: "TorchError", message });
  assert.throws(() => other.index([freed]), { message });
  assert.throws(() => call("aten::cat", [other, freed]), { message });
  assert.throws(() => freed.shape, { message });
  assert.throws(() => freed.toTypedArray(), { message });
  assert.throws(() => freed.grad, { message });
  assert.throws(() => other.grad = freed, { message });
  assert.throws(() => other.sum().backward(freed), { message });
  assert.throws(() => other.become(freed), /Cannot take the place of a tensor that was freed/);
  assert.deepEqual(other.toNumbers(), [1, 1]);
});

Deno.test("tensor: forged handles are refused, of whatever kind", () => {
  using real = ones([1]);
  const others = [
    real.handle + 1,
    real.handle + 2 ** 24,
    real.handle + 2 ** 27,
    1,
    2 ** 53,
    1e300,
    NaN,
    -Infinity,
  ];
  for (const handle of others) {
    const forged = Object.assign(Object.create(Tensor.prototype), { handle });
    assert.throws(() => call("aten::neg", forged), /already freed, or never existed/, String(handle));
  }
});

Deno.test("tensor: a handle is not valid again when its place is used anew", () => {
  using first = ones([1]);
  const stale = first.handle;
  first[Symbol.dispose]();
  using _second = ones([1]);
  const forged = Object.assign(Object.create(Tensor.prototype), { handle: stale });
  assert.throws(() => call("aten::neg", forged), /already freed/);
});

Deno.test("tensor: it shows itself as dtype, shape and device", () => {
  using made = ones([2, 3], { dtype: "bfloat16" });
  assert.equal(String(made), `Tensor(bfloat16[2, 3], ${DEVICE})`);
  assert.equal(Deno.inspect(made), `Tensor(bfloat16[2, 3], ${DEVICE})`);
});

Deno.test("tensor: a dtype that this library does not use has a shape, but no name", () => {
  using eightBits = call("aten::zeros", [2], 24);
  assert.deepEqual(eightBits.shape, [2]);
  assert.throws(() => eightBits.dtype, { name: "TypeError", message: /Cannot name dtype 24/ });
});

Deno.test("tensor: one with more dimensions than a frame describes is an error", () => {
  using deep = call("aten::ones", Array(40000).fill(1));
  assert.throws(() => deep.shape, /describe a tensor: it has too many dimensions: 40000/);
});
