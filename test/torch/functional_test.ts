import assert from "node:assert/strict";
import fc from "fast-check";
import {
  batchNorm,
  cat,
  conv2d,
  crossEntropy,
  globalAveragePool2d,
  linear,
  maxPool2d,
  normalize,
  reflectionPad2d,
  splitSizes,
  stack,
  where,
} from "../../src/torch/functional.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { arange, fromTypedArray, ones, tensor, zeros } from "../device.ts";
import { assertClose, unit } from "../golden.ts";
import { gradcheck } from "./gradcheck.ts";
import { at, build, type Model, toModel, toTensor } from "./model.ts";

function check(actual: Tensor, expected: Model, rtol = 1e-12): void {
  scope(() => assertClose(actual, toTensor(expected), { rtol, atol: rtol }));
}

/** Made-up numbers, as a tensor and as a model. */
function made(name: string, shape: readonly number[]): [Tensor, Model] {
  const tensor = unit(`functional.${name}`, shape);
  return [tensor, toModel(tensor)];
}

Deno.test("functional: cat and stack", () => {
  scope(() => {
    const a = arange(0, 4).reshape(2, 2), b = arange(4, 6).reshape(1, 2);
    assert.deepEqual(toModel(cat([a, b])), { shape: [3, 2], data: [0, 1, 2, 3, 4, 5] });
    assert.deepEqual(toModel(cat([a, a], 1)), { shape: [2, 4], data: [0, 1, 0, 1, 2, 3, 2, 3] });
    assert.deepEqual(toModel(stack([a, a.neg()], 2)), {
      shape: [2, 2, 2],
      data: [0, 0, 1, -1, 2, -2, 3, -3],
    });
    assert.throws(() => cat([a, ones([2, 3])]), /aten::cat: .*int64\[2, 2\], float32\[2, 3\]/);
    assert.throws(() => stack([a, b]), /aten::stack: .*equal size/);
    assert.throws(() => cat([]), /aten::cat/);
    const many = Array.from({ length: 6 }, () => a);
    assert.throws(() => cat([...many, ones([1])]), /\.\.\. \(7 tensors\)/);
  });
});

Deno.test("functional: splitSizes undoes cat", () => {
  fc.assert(fc.property(fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 5 }), (sizes) => {
    scope(() => {
      const parts = sizes.map((size, i) => unit(`part ${i}`, [size, 2]));
      const again = splitSizes(cat(parts), sizes);
      assert.deepEqual(again.map(toModel), parts.map(toModel));
    });
  }));
  scope(() => assert.throws(() => splitSizes(ones([3]), [1, 1]), /aten::split_with_sizes/));
});

Deno.test("functional: where chooses between tensors and numbers", () => {
  scope(() => {
    const condition = tensor([1, 0, 1], { dtype: "bool" }), a = tensor([1, 2, 3]), b = tensor([-1, -2, -3]);
    assert.deepEqual(where(condition, a, b).toNumbers(), [1, -2, 3]);
    assert.deepEqual(where(condition, a, 0).toNumbers(), [1, 0, 3]);
    assert.deepEqual(where(condition, 9, b).toNumbers(), [9, -2, 9]);
    assert.deepEqual(where(condition, 1.5, 0).toNumbers(), [1.5, 0, 1.5]);
    assert.equal(where(condition, a, 0).dtype, "float32");
    assert.throws(() => where(a, a, b), /aten::where.self: .*condition/);
  });
});

Deno.test("functional: linear is x W^T + b", () => {
  scope(() => {
    const [x, px] = made("x", [4, 3]), [w, pw] = made("w", [5, 3]), [b, pb] = made("b", [5]);
    const expected = build([4, 5], ([row, out]) => {
      let sum = pb.data[out];
      for (let i = 0; i < 3; i++) sum += at(px, [row, i]) * at(pw, [out, i]);
      return sum;
    });
    check(linear(x, w, b), expected);
    check(linear(x, w).add(b), expected);
    gradcheck(linear, x, w, b);
    assert.throws(() => linear(x, w.transpose()), /aten::linear: .*float64\[4, 3\], float64\[3, 5\]/);
  });
});

Deno.test("functional: conv2d agrees with six loops, for strides and paddings", () => {
  const options = fc.record({
    kernel: fc.integer({ min: 1, max: 3 }),
    stride: fc.integer({ min: 1, max: 2 }),
    padding: fc.integer({ min: 0, max: 2 }),
    bias: fc.boolean(),
  });
  fc.assert(
    fc.property(options, ({ kernel, stride, padding, bias }) => {
      scope(() => {
        const [x, px] = made("images", [2, 2, 5, 4]), [w, pw] = made("kernel", [3, 2, kernel, kernel]);
        const [b, pb] = made("b", [3]);
        const extent = (size: number) => Math.floor((size + 2 * padding - kernel) / stride) + 1;
        const expected = build([2, 3, extent(5), extent(4)], ([n, out, row, column]) => {
          let sum = bias ? pb.data[out] : 0;
          for (let c = 0; c < 2; c++) {
            for (let i = 0; i < kernel; i++) {
              for (let j = 0; j < kernel; j++) {
                const y = row * stride + i - padding, x = column * stride + j - padding;
                if (y < 0 || y >= 5 || x < 0 || x >= 4) continue;
                sum += at(px, [n, c, y, x]) * at(pw, [out, c, i, j]);
              }
            }
          }
          return sum;
        });
        check(conv2d(x, w, bias ? b : null, stride, padding), expected);
        check(conv2d(x.contiguous("channels_last"), w, bias ? b : null, stride, padding), expected);
      });
    }),
    { numRuns: 30 },
  );
});

Deno.test("functional: conv2d passes gradients on", () => {
  scope(() => {
    const x = unit("conv.x", [2, 2, 4, 4]), w = unit("conv.w", [3, 2, 3, 3]), b = unit("conv.b", [3]);
    gradcheck((x, w, b) => conv2d(x, w, b, 2, 1), x, w, b);
    assert.throws(
      () => conv2d(x, unit("w", [3, 3, 3, 3])),
      /aten::conv2d: .*channels.*float64\[2, 2, 4, 4\]/,
    );
  });
});

Deno.test("functional: batchNorm in training and in use", () => {
  scope(() => {
    const [x, px] = made("bn.x", [4, 3, 2, 2]), [w, pw] = made("bn.w", [3]), [b, pb] = made("bn.b", [3]);
    const mean = zeros([3], { dtype: "float64" }), variance = ones([3], { dtype: "float64" });
    const values = [0, 1, 2].map((c) => px.data.filter((_, i) => Math.floor(i / 4) % 3 === c));
    const means = values.map((v) => v.reduce((sum, n) => sum + n, 0) / 16);
    const sums = values.map((v, c) => v.reduce((sum, n) => sum + (n - means[c]) ** 2, 0));
    const out = batchNorm(x, w, b, mean, variance, true, 0.1, 1e-5);
    check(
      out,
      build([4, 3, 2, 2], (index) => {
        const c = index[1];
        return (at(px, index) - means[c]) / Math.sqrt(sums[c] / 16 + 1e-5) * pw.data[c] + pb.data[c];
      }),
      1e-9,
    );
    check(mean, { shape: [3], data: means.map((m) => 0.1 * m) });
    check(variance, { shape: [3], data: sums.map((s) => 0.9 + 0.1 * s / 15) });
    const fixed = [mean.clone(), variance.clone()];
    const inUse = batchNorm(x, w, b, mean, variance, false, 0.1, 1e-5);
    const scaled = x.sub(fixed[0].reshape(3, 1, 1)).div(fixed[1].add(1e-5).sqrt().reshape(3, 1, 1));
    check(inUse, toModel(scaled.mul(w.reshape(3, 1, 1)).add(b.reshape(3, 1, 1))), 1e-9);
    check(mean, toModel(fixed[0]));
    const frozen = (x: Tensor, w: Tensor, b: Tensor) => batchNorm(x, w, b, mean, variance, false, 0.1, 1e-5);
    gradcheck(frozen, x, w, b);
    gradcheck((x, w, b) => batchNorm(x, w, b, mean.clone(), variance.clone(), true, 0.1, 1e-5), x, w, b);
  });
});

Deno.test("functional: maxPool2d and globalAveragePool2d", () => {
  scope(() => {
    const [x, px] = made("pool", [2, 2, 5, 5]);
    const expected = build([2, 2, 3, 3], ([n, c, row, column]) => {
      let best = -Infinity;
      for (let y = Math.max(0, row * 2 - 1); y < Math.min(5, row * 2 + 2); y++) {
        for (let x = Math.max(0, column * 2 - 1); x < Math.min(5, column * 2 + 2); x++) {
          best = Math.max(best, at(px, [n, c, y, x]));
        }
      }
      return best;
    });
    check(maxPool2d(x, 3, 2, 1), expected);
    check(globalAveragePool2d(x), toModel(x.mean([2, 3], true)));
    gradcheck((x) => maxPool2d(x, 3, 2, 1), x);
    gradcheck(globalAveragePool2d, x);
  });
});

Deno.test("functional: normalize gives unit rows and leaves zero rows at zero", () => {
  scope(() => {
    const [x] = made("normalize", [5, 4]);
    check(normalize(x).pow(2).sum([1]), { shape: [5], data: [1, 1, 1, 1, 1] });
    check(normalize(x).mul(x.pow(2).sum([1], true).sqrt()), toModel(x));
    check(normalize(x, 0).pow(2).sum([0]), { shape: [4], data: [1, 1, 1, 1] });
    assert.deepEqual(normalize(zeros([2, 2])).toNumbers(), [0, 0, 0, 0]);
    gradcheck((x) => normalize(x), x);
  });
});

Deno.test("functional: crossEntropy", () => {
  scope(() => {
    const [x, px] = made("logits", [4, 3]), classes = [2, 0, 1, 1];
    const target = fromTypedArray(BigInt64Array.from(classes, BigInt));
    const losses = classes.map((k, n) => {
      const row = [0, 1, 2].map((i) => at(px, [n, i]));
      return Math.log(row.reduce((sum, l) => sum + Math.exp(l), 0)) - row[k];
    });
    const sum = losses.reduce((sum, loss) => sum + loss, 0);
    check(crossEntropy(x, target, "none"), { shape: [4], data: losses });
    check(crossEntropy(x, target, "sum"), { shape: [], data: [sum] });
    check(crossEntropy(x, target), { shape: [], data: [sum / 4] });
    gradcheck((x) => crossEntropy(x, target), x);
    gradcheck((x) => crossEntropy(x, target, "none"), x);
    assert.throws(() => crossEntropy(x, tensor([0, 1, 2, 3], { dtype: "int64" })), /out of bounds/);
    assert.throws(
      () => crossEntropy(x, tensor([0], { dtype: "int64" })),
      /aten::cross_entropy_loss: .*batch/,
    );
  });
});

Deno.test("functional: reflectionPad2d mirrors without repeating the edge", () => {
  scope(() => {
    const [x, px] = made("pad", [1, 2, 3, 4]);
    const mirror = (i: number, size: number) => i < 0 ? -i : i >= size ? 2 * size - 2 - i : i;
    const expected = build(
      [1, 2, 7, 8],
      ([n, c, y, x]) => at(px, [n, c, mirror(y - 2, 3), mirror(x - 2, 4)]),
    );
    check(reflectionPad2d(x, 2), expected);
    gradcheck((x) => reflectionPad2d(x, 2), x);
    assert.throws(() => reflectionPad2d(x, 3), /aten::reflection_pad2d: .*[Pp]adding/);
  });
});
