import assert from "node:assert/strict";
import fc from "fast-check";
import { autocast } from "../../src/torch/autograd.ts";
import {
  arange,
  borrowTypedArray,
  empty,
  emptyStrided,
  fromTypedArray,
  full,
  type Nested,
  ones,
  returnBorrowed,
  send,
  tensor,
  upload,
  zeros,
  zerosLike,
} from "../../src/torch/create.ts";
import { cudaDeviceCount } from "../../src/torch/cuda.ts";
import {
  type DType,
  DTYPE_NUMBERS,
  isComplex,
  type TypedArray,
  typedArrayFor,
} from "../../src/torch/dtype.ts";
import { TorchError } from "../../src/torch/library.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import type { MemoryFormat } from "../../src/torch/tensor.ts";
import { assertNoLeak } from "../golden.ts";

const DTYPES = Object.keys(DTYPE_NUMBERS) as DType[];
const REAL = DTYPES.filter((dtype) => !isComplex(dtype));

function bytesOf(array: TypedArray): number[] {
  return Array.from(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
}

/** Any bytes as elements of a dtype: NaNs with payloads, denormals, whatever. Booleans are 0 or 1. */
function anyArray(dtype: DType): fc.Arbitrary<TypedArray> {
  return fc.nat({ max: 40 }).chain((length) => {
    const template = typedArrayFor(dtype, length), { byteLength } = template;
    const bytes = fc.uint8Array({ minLength: byteLength, maxLength: byteLength });
    return bytes.map((bytes) => {
      const array = typedArrayFor(dtype, length);
      new Uint8Array(array.buffer).set(dtype === "bool" ? bytes.map((byte) => byte & 1) : bytes);
      return array;
    });
  });
}

for (const dtype of DTYPES) {
  Deno.test(`create: ${dtype} elements come back bit by bit`, () => {
    fc.assert(fc.property(anyArray(dtype), (array) => {
      const count = isComplex(dtype) ? array.length / 2 : array.length;
      using made = fromTypedArray(array, [count], dtype);
      assert.equal(made.dtype, dtype);
      assert.deepEqual(made.shape, [count]);
      assert.equal(made.nbytes, array.byteLength);
      const back = made.toTypedArray();
      assert.equal(back.constructor, array.constructor);
      assert.deepEqual(bytesOf(back), bytesOf(array));
    }));
  });
}

Deno.test("create: a typed array's own dtype and length are the defaults", () => {
  const arrays = [
    [new Float32Array(2), "float32"],
    [new Float64Array(2), "float64"],
    [new BigInt64Array(2), "int64"],
    [new Int32Array(2), "int32"],
    [new Int16Array(2), "int16"],
    [new Int8Array(2), "int8"],
    [new Uint8Array(2), "uint8"],
    [new Uint32Array(2), "uint32"],
    [new BigUint64Array(2), "uint64"],
  ] as const;
  for (const [array, dtype] of arrays) {
    using made = fromTypedArray(array);
    assert.equal(made.dtype, dtype);
    assert.deepEqual(made.shape, [2]);
  }
  assert.throws(() => fromTypedArray(new Uint16Array(2)), {
    name: "TypeError",
    message: /say uint16, float16 or bfloat16/,
  });
});

Deno.test("create: a part of a larger buffer is read from its own place", () => {
  const whole = new Float32Array([0, 1, 2, 3, 4, 5]);
  using made = fromTypedArray(whole.subarray(2, 5));
  assert.deepEqual(made.toNumbers(), [2, 3, 4]);
  const target = new Float32Array(6);
  made.copyTo(target.subarray(1, 4));
  assert.deepEqual([...target], [0, 2, 3, 4, 0, 0]);
});

Deno.test("create: what is read out is a copy in row-major order, whatever the strides", () => {
  scope(() => {
    const turned = fromTypedArray(new Int32Array([1, 2, 3, 4, 5, 6]), [2, 3]).transpose();
    assert.deepEqual([...turned.toTypedArray()], [1, 4, 2, 5, 3, 6]);
    const copy = turned.toTypedArray();
    turned.zero_();
    assert.deepEqual([...copy], [1, 4, 2, 5, 3, 6]);
    const repeated = ones([1, 2]).expand(3, 2);
    assert.deepEqual([...repeated.toTypedArray()], [1, 1, 1, 1, 1, 1]);
  });
});

Deno.test("create: shapes that do not fit the array are refused with both sizes", () => {
  const array = new Float32Array(6);
  const refuse = (shape: number[], message: RegExp) => {
    assert.throws(() => fromTypedArray(array, shape), { name: "TorchError", message });
    assert.throws(() => borrowTypedArray(array, shape), { name: "TorchError", message });
  };
  refuse([2, 2], /shape \[2, 2\] of float32 takes 16 bytes, the buffer has 24/);
  refuse([-6], /not -6/);
  refuse([1.5, 4], /not 1.5/);
  refuse([NaN], /not nan/);
  refuse([2 ** 53, 2 ** 53], /takes/);
  refuse([2 ** 64], /whole number/);
  refuse(Array(65).fill(1), /at most 64 dimensions, not 65/);
  assert.throws(() => fromTypedArray(new Uint8Array(3), [3], "float32"), { message: /takes 12 bytes/ });
  assert.throws(() => fromTypedArray(array, Array(2 ** 18).fill(1)), RangeError);
});

Deno.test("create: a byte that is no bool is refused", () => {
  assert.throws(() => fromTypedArray(new Uint8Array([0, 1, 2]), [3], "bool"), {
    name: "TorchError",
    message: "fromTypedArray: a bool is a byte of 0 or 1",
  });
});

Deno.test("create: copyTo wants exactly as many bytes", () => {
  using made = ones([3]);
  assert.throws(() => made.copyTo(new Float32Array(2)), {
    name: "TorchError",
    message: "copy a tensor out: the tensor has 12 bytes, the buffer 8",
  });
});

Deno.test("create: copyTo fills memory at any address", () => {
  scope(() => {
    const turned = fromTypedArray(new Float64Array([1, 2, 3, 4, 5, 6]), [2, 3]).transpose();
    const bytes = new Uint8Array(60);
    turned.copyTo(bytes.subarray(3, 51));
    assert.deepEqual([...new Float64Array(bytes.slice(3, 51).buffer)], [1, 4, 2, 5, 3, 6]);
    assert.ok([...bytes.subarray(0, 3), ...bytes.subarray(51)].every((byte) => byte === 0));
  });
});

Deno.test("create: putBytes overwrites elements as they lie in memory, and nothing else", () => {
  scope(() => {
    const whole = emptyStrided([2, 3], [1, 2], { dtype: "int16" });
    whole.putBytes(new Uint8Array(new Int16Array([1, 2, 3, 4]).buffer));
    whole.putBytes(new Uint8Array(new Int16Array([5, 6]).buffer), 8);
    assert.deepEqual(whole.toNumbers(), [1, 3, 5, 2, 4, 6]);
    const row = ones([3, 2]).select(0, 1);
    row.putBytes(new Uint8Array(8));
    assert.deepEqual(row.toNumbers(), [0, 0]);
    row.putBytes(new Uint8Array(0), 8);
    for (const [bytes, offset] of [[9, 0], [4, 8], [1, -1], [8, NaN]]) {
      assert.throws(() => row.putBytes(new Uint8Array(bytes), offset), {
        name: "TorchError",
        message: /^write into a tensor: bytes .* of a tensor that has 8$/,
      });
    }
    for (const gaps of [ones([3, 2]).select(1, 0), ones([1]).expand(4)]) {
      assert.throws(() => gaps.putBytes(new Uint8Array(4)), { message: /must be on the CPU, without gaps/ });
    }
  });
});

Deno.test("create: empty tensors and scalars", () => {
  scope(() => {
    for (const dtype of DTYPES) {
      const none = fromTypedArray(typedArrayFor(dtype, 0), [0, 3], dtype);
      assert.deepEqual(none.shape, [0, 3]);
      assert.equal(none.toTypedArray().length, 0);
    }
    const scalar = fromTypedArray(new Float64Array([7]), []);
    assert.deepEqual(scalar.shape, []);
    assert.equal(scalar.item(), 7);
  });
});

Deno.test("create: a borrowed array and its tensor are one memory", () => {
  const array = new Float32Array([1, 2, 3, 4]);
  using borrowed = borrowTypedArray(array, [2, 2]);
  array[3] = 40;
  assert.deepEqual(borrowed.toNumbers(), [1, 2, 3, 40]);
  borrowed.mul_(2);
  assert.deepEqual([...array], [2, 4, 6, 80]);
});

Deno.test("create: a borrowed array is let go of when the last view of it is freed", () => {
  const before = returnBorrowed();
  const borrowed = borrowTypedArray(new Float32Array(8));
  const view = borrowed.slice(0, 2, 4);
  assert.equal(returnBorrowed(), before + 1);
  borrowed[Symbol.dispose]();
  assert.equal(returnBorrowed(), before + 1, "the view still uses it");
  view.add_(1);
  view[Symbol.dispose]();
  assert.equal(returnBorrowed(), before);
  borrowTypedArray(new Float32Array(0))[Symbol.dispose]();
  assert.equal(returnBorrowed(), before);
});

Deno.test("create: autograd keeps a borrowed array as long as the graph needs it", () => {
  const before = returnBorrowed();
  const loss = scope(() => {
    const weight = ones([3]).requiresGrad_();
    return borrowTypedArray(new Float32Array([1, 2, 3])).mul(weight).sum();
  });
  assert.equal(returnBorrowed(), before + 1);
  loss[Symbol.dispose]();
  assert.equal(returnBorrowed(), before);
});

Deno.test("create: an array that is not aligned to its elements cannot be borrowed", () => {
  const bytes = new Uint8Array(9).subarray(1);
  assert.throws(() => borrowTypedArray(bytes, [2], "float32"), { message: /must be aligned/ });
});

Deno.test("create: tensor takes numbers and nested lists", () => {
  scope(() => {
    assert.deepEqual(tensor(3).shape, []);
    assert.equal(tensor(3).dtype, "float32");
    assert.deepEqual(tensor([]).shape, [0]);
    assert.deepEqual(tensor([[], []]).shape, [2, 0]);
    const matrix = tensor([[1, 2, 3], [4, 5, 6]], { dtype: "int64" });
    assert.deepEqual(matrix.shape, [2, 3]);
    assert.deepEqual([...matrix.toTypedArray()], [1n, 2n, 3n, 4n, 5n, 6n]);
    for (const dtype of REAL) assert.deepEqual(tensor([0, 1], { dtype }).toNumbers(), [0, 1], dtype);
  });
});

Deno.test("create: lists that are no rectangle are refused", () => {
  for (const ragged of [[[1], [1, 2]], [[1, 2], [1]], [[1], []]]) {
    assert.throws(() => tensor(ragged), { name: "RangeError", message: /differ in length/ });
  }
  for (const uneven of [[[1], 2], [1, [2]], [[[1]], [1]]]) {
    assert.throws(() => tensor(uneven), { name: "RangeError", message: /differ in depth/ });
  }
  assert.throws(() => tensor([1, 1.5], { dtype: "int64" }), {
    name: "RangeError",
    message: "Cannot make an int64 tensor: 1.5 is no whole number",
  });
});

Deno.test("create: tensor gives back what was put in, nested", () => {
  const shapes = fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 4 });
  fc.assert(fc.property(shapes, fc.infiniteStream(fc.double({ noNaN: true })), (shape, numbers) => {
    const flat: number[] = [];
    const build = (depth: number): Nested => {
      if (depth === shape.length) {
        const { value } = numbers.next();
        flat.push(value);
        return value;
      }
      return Array.from({ length: shape[depth] }, () => build(depth + 1));
    };
    using made = tensor(build(0), { dtype: "float64" });
    assert.deepEqual(made.shape, shape);
    assert.deepEqual(made.toNumbers(), flat);
  }));
});

Deno.test("create: zeros, ones, empty, full, arange", () => {
  scope(() => {
    for (const dtype of REAL) {
      assert.deepEqual(zeros([2], { dtype }).toNumbers(), [0, 0]);
      assert.deepEqual(ones([2], { dtype }).toNumbers(), [1, 1]);
      assert.equal(empty([2, 3], { dtype }).dtype, dtype);
    }
    assert.deepEqual(full([2], 1.5).toNumbers(), [1.5, 1.5]);
    assert.equal(full([2], 3, { dtype: "int64" }).dtype, "int64");
    assert.deepEqual([...arange(2, 5).toTypedArray()], [2n, 3n, 4n]);
    assert.deepEqual(arange(0, 3, { dtype: "float32" }).toNumbers(), [0, 1, 2]);
    const like = zerosLike(ones([2, 1], { dtype: "float64" }));
    assert.deepEqual([like.dtype, ...like.shape], ["float64", 2, 1]);
    assert.equal(zeros([]).dtype, "float32");
  });
});

Deno.test("create: a device or size that libtorch refuses is an error, and nothing is left over", () => {
  const before = counters();
  assert.throws(() => tensor([1, 2], { device: "nowhere" }), TorchError);
  assert.throws(() => zeros([2], { device: "nowhere" }), /aten::zeros: .*nowhere/);
  assert.throws(() => zeros([-1]), /aten::zeros/);
  assert.throws(() => empty([2 ** 50]), /can't allocate memory/);
  assert.throws(() => zeros(Array(2 ** 17 + 1).fill(1)), {
    name: "RangeError",
    message: /at most 131072 fit/,
  });
  assert.deepEqual(counters(), before);
});

Deno.test("create: numbers of every dtype survive the way through float64", () => {
  const integers: Partial<Record<DType, [number, number]>> = {
    uint8: [0, 255],
    int8: [-128, 127],
    int16: [-32768, 32767],
    int32: [-(2 ** 31), 2 ** 31 - 1],
    int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  };
  for (const [dtype, [min, max]] of Object.entries(integers) as [DType, [number, number]][]) {
    fc.assert(
      fc.property(fc.array(fc.maxSafeInteger().map((n) => Math.max(min, Math.min(max, n)))), (numbers) => {
        using made = tensor(numbers, { dtype });
        assert.deepEqual(made.toNumbers(), numbers.map((n) => n + 0));
      }),
    );
  }
  fc.assert(fc.property(fc.array(fc.float({ noNaN: true })), (numbers) => {
    using made = tensor(numbers);
    assert.deepEqual(made.toNumbers(), numbers);
  }));
});

Deno.test("create: 16-bit floats are rounded to the nearest, ties to even", () => {
  scope(() => {
    // 1 + 2^-11 lies half-way between two float16, 1 + 2^-8 between two bfloat16.
    assert.deepEqual(tensor([1 + 2 ** -11, 1 + 3 * 2 ** -11], { dtype: "float16" }).toNumbers(), [
      1,
      1 + 2 ** -9,
    ]);
    assert.deepEqual(tensor([1 + 2 ** -8, 1 + 3 * 2 ** -8], { dtype: "bfloat16" }).toNumbers(), [
      1,
      1 + 2 ** -6,
    ]);
    assert.deepEqual(tensor([65504, 1e6], { dtype: "float16" }).toNumbers(), [65504, Infinity]);
    assert.deepEqual([...tensor([1], { dtype: "float16" }).toTypedArray()], [0x3c00]);
    assert.deepEqual([...tensor([1], { dtype: "bfloat16" }).toTypedArray()], [0x3f80]);
  });
});

Deno.test("create: nothing is left over", () => {
  assertNoLeak(() => {
    tensor([[1, 2]], { dtype: "bfloat16" });
    borrowTypedArray(new Float32Array(4)).add(1);
    arange(0, 3);
  });
});

Deno.test("create: a misspelled dtype, memory format or device is refused in one sentence", () => {
  const before = counters(),
    dtype = "flaot32" as DType,
    hint = /^Cannot use the dtype "flaot32": use uint8, /;
  using made = ones([2, 2]);
  const bytes = new Uint8Array(4);
  const makers = [
    () => tensor([1], { dtype }),
    () => zeros([1], { dtype }),
    () => full([1], 2, { dtype }),
    () => empty([1], { dtype: "toString" as DType }),
    () => fromTypedArray(bytes, [1], dtype),
    () => borrowTypedArray(bytes, [1], dtype),
    () => made.to({ dtype }),
    () => made.to({ dtype: "" as DType }),
    () => autocast("cpu", dtype, () => made),
  ];
  for (const make of makers) {
    assert.throws(make, {
      name: "TypeError",
      message: /^Cannot use the dtype "\w*": use uint8, .*, uint64$/,
    });
  }
  assert.throws(makers[0], { message: hint });
  const memoryFormat = "channels_first" as MemoryFormat;
  const format = 'Cannot use the memory format "channels_first": use contiguous, channels_last';
  for (const make of [() => made.to({ memoryFormat }), () => made.contiguous(memoryFormat)]) {
    assert.throws(make, { name: "TypeError", message: format });
  }
  assert.throws(() => autocast("cdua", "bfloat16", () => made), {
    name: "TypeError",
    message: 'Cannot use the device "cdua": use cpu, cuda',
  });
  assert.throws(() => zeros([1], { device: "xpu" }), {
    name: "TorchError",
    message: /^aten::zeros: Could not run '[\w:.]+' with arguments from the 'XPU' backend\.$/,
  });
  assert.deepEqual(counters(), { ...before, tensors: before.tensors + 1, bytes: before.bytes + 16 });
});

Deno.test({
  name: "create: a GPU is refused in one sentence where there is none",
  ignore: cudaDeviceCount({ sure: true }) > 0,
  fn: () => {
    using made = ones([2]);
    const before = counters();
    const makers = [
      () => zeros([1], { device: "cuda" }),
      () => tensor([1], { device: "cuda:3" }),
      () => upload(new Float32Array(1), "cuda"),
      () => send(made, "cuda"),
      () => made.to({ device: "cuda" }),
      () => autocast("cuda", "bfloat16", () => made),
    ];
    for (const make of makers) {
      assert.throws(make, { message: /^Cannot use the device cuda(:3)?: [^\n]{1,120}$/ });
    }
    returnBorrowed();
    assert.deepEqual(counters(), before);
  },
});

Deno.test("create: what is no list of numbers is refused in one sentence", () => {
  const what: [unknown, string][] = [
    [
      [true],
      'a value of type boolean: its elements must be numbers, and with dtype "bool" 1 is true and 0 false',
    ],
    [
      [[1], [false]],
      'a value of type boolean: its elements must be numbers, and with dtype "bool" 1 is true and 0 false',
    ],
    ["12", "a value of type string: its elements must be numbers"],
    [[1, "2"], "a value of type string: its elements must be numbers"],
    [[1n], "a value of type bigint: its elements must be numbers"],
    [[null], "null: its elements must be numbers"],
    [[1, undefined], "a value of type undefined: its elements must be numbers"],
    [undefined, "a value of type undefined: its elements must be numbers"],
    [{}, "a value of type object: its elements must be numbers"],
  ];
  for (const [data, text] of what) {
    assert.throws(() => tensor(data as Nested), {
      name: "TypeError",
      message: `Cannot make a tensor from ${text}`,
    });
  }
  const cycle: unknown[] = [];
  cycle.push(cycle);
  assert.throws(() => tensor(cycle as unknown as Nested), {
    name: "RangeError",
    message: /more than 64 dim/,
  });
  assert.throws(() => fromTypedArray([1, 2] as unknown as TypedArray), {
    name: "TypeError",
    message: "Cannot make a tensor from Array: no dtype has such elements",
  });
  assert.throws(() => fromTypedArray(new Uint8ClampedArray(1) as unknown as TypedArray), {
    name: "TypeError",
    message: "Cannot make a tensor from Uint8ClampedArray: no dtype has such elements",
  });
  assert.throws(() => fromTypedArray(new Uint16Array(1)), {
    name: "TypeError",
    message: /say uint16, float16 or/,
  });
});
