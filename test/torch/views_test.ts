import assert from "node:assert/strict";
import fc from "fast-check";
import { arange, ones, tensor } from "../../src/torch/create.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { at, broadcastShapes, build, counting, type Model, shapes, toModel, toTensor } from "./model.ts";

/** A view, both as a method of a tensor and as what it means. */
interface View {
  readonly text: string;
  readonly ofTensor: (tensor: Tensor) => Tensor;
  readonly ofModel: (model: Model) => Model;
}

type Draw = (bound: number) => number;

function slice(rank: number, draw: Draw): View {
  const dim = draw(rank), step = 1 + draw(3);
  const bound = () => draw(3) === 0 ? null : draw(13) - 6;
  const start = bound(), end = bound();
  return {
    text: `slice(${dim}, ${start}, ${end}, ${step})`,
    ofTensor: (tensor) => tensor.slice(dim, start, end, step),
    ofModel: (model) => {
      const size = model.shape[dim];
      const kept = Array.from({ length: size }, (_, i) => i).slice(start ?? 0, end ?? size);
      const picked = kept.filter((_, i) => i % step === 0);
      return build(
        model.shape.with(dim, picked.length),
        (index) => at(model, index.with(dim, picked[index[dim]])),
      );
    },
  };
}

function select(shape: readonly number[], draw: Draw): View {
  const dim = draw(shape.length), place = draw(2 * shape[dim]) - shape[dim];
  const from = place < 0 ? place + shape[dim] : place;
  return {
    text: `select(${dim}, ${place})`,
    ofTensor: (tensor) => tensor.select(dim, place),
    ofModel: (model) =>
      build(model.shape.toSpliced(dim, 1), (index) => at(model, index.toSpliced(dim, 0, from))),
  };
}

function permute(rank: number, draw: Draw): View {
  const dims = Array.from({ length: rank }, (_, i) => i);
  for (let i = rank - 1; i > 0; i--) {
    const j = draw(i + 1);
    [dims[i], dims[j]] = [dims[j], dims[i]];
  }
  return {
    text: `permute(${dims})`,
    ofTensor: (tensor) => tensor.permute(...dims),
    ofModel: (model) =>
      build(dims.map((dim) => model.shape[dim]), (index) => {
        const source: number[] = [];
        dims.forEach((dim, i) => source[dim] = index[i]);
        return at(model, source);
      }),
  };
}

function flip(rank: number, draw: Draw): View {
  const dim = draw(rank);
  return {
    text: `flip(${dim})`,
    ofTensor: (tensor) => tensor.flip(dim),
    ofModel: (model) =>
      build(model.shape, (index) => at(model, index.with(dim, model.shape[dim] - 1 - index[dim]))),
  };
}

function unsqueeze(rank: number, draw: Draw): View {
  const dim = draw(rank + 1);
  return {
    text: `unsqueeze(${dim})`,
    ofTensor: (tensor) => tensor.unsqueeze(dim),
    ofModel: (model) => ({ shape: model.shape.toSpliced(dim, 0, 1), data: model.data }),
  };
}

function expand(shape: readonly number[], draw: Draw): View {
  const wanted = shape.map((size) => size === 1 ? 1 + draw(3) : size);
  return {
    text: `expand(${wanted})`,
    ofTensor: (tensor) => tensor.expand(...wanted),
    ofModel: (model) => build(wanted, (index) => at(model, index)),
  };
}

function flatten(_rank: number, _draw: Draw): View {
  return {
    text: "flatten()",
    ofTensor: (tensor) => tensor.flatten(),
    ofModel: (model) => ({ shape: [model.data.length], data: model.data }),
  };
}

function anyView(shape: readonly number[], draw: Draw): View {
  const rank = shape.length;
  if (rank === 0) return draw(2) === 0 ? unsqueeze(rank, draw) : flatten(rank, draw);
  const kind = draw(7);
  if (kind === 1 && shape.every((size) => size > 0)) return select(shape, draw);
  if (kind === 2) return permute(rank, draw);
  if (kind === 3) return flip(rank, draw);
  if (kind === 4 && rank < 5) return unsqueeze(rank, draw);
  if (kind === 5) return expand(shape, draw);
  if (kind === 6 && draw(3) === 0) return flatten(rank, draw);
  return slice(rank, draw);
}

Deno.test("views: chains of views give what indexing one element at a time gives", () => {
  const steps = fc.integer({ min: 1, max: 5 });
  fc.assert(
    fc.property(shapes, steps, fc.infiniteStream(fc.nat()), (shape, steps, numbers) => {
      const draw = (bound: number) => numbers.next().value % bound;
      scope(() => {
        let model = counting(shape), made = toTensor(model), path = `[${shape}]`;
        for (let i = 0; i < steps; i++) {
          const view = anyView(model.shape, draw);
          path += `.${view.text}`;
          made = view.ofTensor(made);
          model = view.ofModel(model);
          assert.deepEqual(toModel(made), { shape: [...model.shape], data: model.data }, path);
        }
      });
    }),
    { numRuns: 300 },
  );
});

Deno.test("views: arithmetic broadcasts as the model does, and refuses what does not fit", () => {
  fc.assert(
    fc.property(shapes, shapes, (p, q) => {
      scope(() => {
        const a = counting(p), b = counting(q), shape = broadcastShapes(p, q);
        const x = toTensor(a), y = toTensor(b);
        if (shape === null) return assert.throws(() => x.sub(y), /TorchError: aten::sub/);
        const expected = build(shape, (index) => at(a, index) - 2 * at(b, index));
        assert.deepEqual(toModel(x.sub(y, 2)), expected);
      });
    }),
    { numRuns: 300 },
  );
});

Deno.test("views: reshape keeps the row-major order and finds the size of -1", () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }), (shape) => {
    scope(() => {
      const model = counting(shape), made = toTensor(model);
      const reversed = shape.toReversed();
      assert.deepEqual(toModel(made.reshape(...reversed)), { shape: reversed, data: model.data });
      assert.deepEqual(made.reshape(-1, shape[0]).shape, [model.data.length / shape[0], shape[0]]);
    });
  }));
  scope(() => {
    assert.throws(() => ones([6]).reshape(4, -1), { message: /aten::reshape: .*float32\[6\]/ });
    assert.throws(() => ones([6]).reshape(5), /aten::reshape/);
  });
});

Deno.test("views: they share memory, copies do not", () => {
  scope(() => {
    const base = arange(0, 6).reshape(2, 3);
    base.select(0, 1).zero_();
    assert.deepEqual(base.toNumbers(), [0, 1, 2, 0, 0, 0]);
    base.transpose().slice(0, 2).fill_(7);
    assert.deepEqual(base.toNumbers(), [0, 1, 7, 0, 0, 7]);
    base.clone().zero_();
    base.flip(0).zero_();
    base.indexSelect(0, tensor([0], { dtype: "int64" })).zero_();
    assert.deepEqual(base.toNumbers(), [0, 1, 7, 0, 0, 7]);
  });
});

Deno.test("views: strides, storage offset and contiguity", () => {
  scope(() => {
    const base = ones([2, 3, 4]);
    assert.deepEqual(base.strides, [12, 4, 1]);
    assert.equal(base.isContiguous, true);
    const view = base.slice(2, 1, 4, 2).transpose(0, 1);
    assert.deepEqual([view.shape, view.strides, view.storageOffset], [[3, 2, 2], [4, 12, 2], 1]);
    assert.equal(view.isContiguous, false);
    assert.equal(view.contiguous().isContiguous, true);
    assert.deepEqual(ones([1, 3]).expand(2, 3).strides, [0, 1]);
    assert.deepEqual([base.ndim, base.numel, base.nbytes], [3, 24, 96]);
  });
});

Deno.test("views: unbind and chunk take a tensor apart", () => {
  scope(() => {
    const base = arange(0, 10).reshape(2, 5);
    assert.deepEqual(base.unbind(1).map((part) => part.toNumbers()), [[0, 5], [1, 6], [2, 7], [3, 8], [
      4,
      9,
    ]]);
    assert.deepEqual(base.chunk(2, 1).map((part) => part.shape), [[2, 3], [2, 2]]);
    base.unbind()[0].zero_();
    assert.deepEqual(base.select(0, 0).toNumbers(), [0, 0, 0, 0, 0]);
  });
});

Deno.test("views: squeeze, unsqueeze, flatten and negative dimensions", () => {
  scope(() => {
    const base = ones([2, 1, 3, 4]);
    assert.deepEqual(base.squeeze(1).shape, [2, 3, 4]);
    assert.deepEqual(base.squeeze(0).shape, [2, 1, 3, 4]);
    assert.deepEqual(base.unsqueeze(-1).shape, [2, 1, 3, 4, 1]);
    assert.deepEqual(base.flatten(1).shape, [2, 12]);
    assert.deepEqual(base.flatten(1, 2).shape, [2, 3, 4]);
    assert.deepEqual(base.transpose().shape, [2, 1, 4, 3]);
    assert.deepEqual(base.select(-1, -1).shape, [2, 1, 3]);
    assert.throws(
      () => base.select(4, 0),
      /aten::select.int: Dimension out of range .*float32\[2, 1, 3, 4\]/,
    );
  });
});

Deno.test("views: picking by index tensors", () => {
  scope(() => {
    const base = arange(0, 12).reshape(3, 4), int = (data: number[]) => tensor(data, { dtype: "int64" });
    assert.deepEqual(base.indexSelect(1, int([3, 0])).toNumbers(), [3, 0, 7, 4, 11, 8]);
    assert.deepEqual(base.index([int([2, 0]), int([1, 3])]).toNumbers(), [9, 3]);
    assert.deepEqual(base.index([null, int([1])]).toNumbers(), [1, 5, 9]);
    assert.deepEqual(base.index([base.gt(9)]).toNumbers(), [10, 11]);
    assert.deepEqual(base.gather(1, int([1, 0, 2]).unsqueeze(1)).toNumbers(), [1, 4, 10]);
    assert.deepEqual(base.scatter(1, int([0, 1, 2]).unsqueeze(1), -1).select(0, 1).toNumbers(), [
      4,
      -1,
      6,
      7,
    ]);
    base.indexCopy_(0, int([1]), int([9, 9, 9, 9]).unsqueeze(0));
    assert.deepEqual(base.select(0, 1).toNumbers(), [9, 9, 9, 9]);
    assert.throws(() => base.indexSelect(0, int([3])), /aten::index_select/);
    assert.throws(() => base.gather(1, int([4]).unsqueeze(1)), /aten::gather: .*out of bounds/);
  });
});
