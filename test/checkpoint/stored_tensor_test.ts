import assert from "node:assert/strict";
import fc from "fast-check";
import {
  contiguousStrides,
  elementCount,
  ITEM_BYTES,
  type Layout,
  piecesOf,
  type Storage,
  type StoredDType,
  StoredTensor,
} from "../../src/checkpoint/stored_tensor.ts";
import { throwsSentence } from "./files.ts";

/** A storage in memory, that counts the bytes it gave. */
function storageOf(bytes: Uint8Array): Storage & { given: number } {
  return {
    key: "0",
    byteLength: bytes.length,
    tensorLimit: 1 << 28,
    given: 0,
    readInto(offset, target) {
      assert.ok(offset >= 0 && offset + target.length <= bytes.length, "read outside of the storage");
      target.set(bytes.subarray(offset, offset + target.length));
      this.given += target.length;
    },
    verify: () => {},
  };
}

/** The elements one by one, as the definition of strides has it. */
function slowly(bytes: Uint8Array, item: number, { shape, strides, storageOffset }: Layout): Uint8Array {
  const out = new Uint8Array(elementCount(shape) * item);
  for (let i = 0; i < elementCount(shape); i++) {
    let rest = i, place = storageOffset;
    for (let d = shape.length - 1; d >= 0; d--) {
      place += (rest % shape[d]) * strides[d];
      rest = Math.floor(rest / shape[d]);
    }
    out.set(bytes.subarray(place * item, (place + 1) * item), i * item);
  }
  return out;
}

Deno.test("stored tensor: any layout is read into row-major order", () => {
  const dimension = fc.record({
    size: fc.integer({ min: 0, max: 5 }),
    stride: fc.integer({ min: 0, max: 40 }),
  });
  const dtypes = Object.keys(ITEM_BYTES) as StoredDType[];
  fc.assert(
    fc.property(
      fc.constantFrom(...dtypes),
      fc.array(dimension, { maxLength: 5 }),
      fc.nat({ max: 9 }),
      (dtype, dimensions, storageOffset) => {
        const layout = {
          shape: dimensions.map((each) => each.size),
          strides: dimensions.map((each) => each.stride),
          storageOffset,
        };
        const item = ITEM_BYTES[dtype];
        const bytes = Uint8Array.from({ length: 1000 * item }, (_, i) => i * 31 + (i >> 8));
        const tensor = new StoredTensor(dtype, layout, storageOf(bytes));
        const expected = slowly(bytes, item, layout);
        assert.deepEqual(tensor.read(), expected);
        const pieces = [...piecesOf("it", tensor)].map((piece) => piece.slice());
        assert.deepEqual(Uint8Array.from(pieces.flatMap((piece) => [...piece])), expected);
      },
    ),
  );
});

Deno.test("stored tensor: a large transposed matrix is read in pieces, each part of the file once", () => {
  const rows = 1500, columns = 1100, bytes = new Uint8Array(rows * columns * 4);
  const numbers = new Float32Array(bytes.buffer).map((_, i) => i);
  new Float32Array(bytes.buffer).set(numbers);
  const storage = storageOf(bytes);
  const layout = { shape: [columns, rows], strides: [1, columns], storageOffset: 0 };
  const transposed = new Float32Array(new StoredTensor("float32", layout, storage).read().buffer);
  for (const [i, j] of [[0, 0], [3, 700], [1099, 1499], [512, 1]]) {
    assert.equal(transposed[i * rows + j], numbers[j * columns + i]);
  }
  assert.equal(storage.given, bytes.length);
});

Deno.test("stored tensor: a large one with the channels last comes row-major, piece by piece, read once", () => {
  const [n, c, h, w] = [700, 50, 5, 3], bytes = new Uint8Array(n * c * h * w * 8);
  new BigInt64Array(bytes.buffer).forEach((_, i, all) => all[i] = BigInt(i));
  const storage = storageOf(bytes);
  const layout = { shape: [n, c, h, w], strides: [c * h * w, 1, w * c, c], storageOffset: 0 };
  const tensor = new StoredTensor("int64", layout, storage), buffer = new Uint8Array(50_000);
  const read = new Uint8Array(bytes.length);
  let count = 0, offset = 0;
  for (const piece of tensor.pieces(buffer)) {
    read.set(piece, offset);
    offset += piece.length;
    count++;
  }
  assert.deepEqual([count, offset, storage.given], [88, bytes.length, bytes.length]);
  assert.deepEqual(read, slowly(bytes, 8, layout));
});

Deno.test("stored tensor: one column of a large matrix is read, and not all of it at once", () => {
  const rows = 3000, columns = 500, bytes = new Uint8Array(rows * columns * 8);
  const numbers = new BigInt64Array(bytes.buffer);
  numbers.forEach((_, i) => numbers[i] = BigInt(i) << 33n);
  const layout = { shape: [rows], strides: [columns], storageOffset: 7 };
  const column = new BigInt64Array(new StoredTensor("int64", layout, storageOf(bytes)).read().buffer);
  column.forEach((value, i) => assert.equal(value, BigInt(i * columns + 7) << 33n));
});

Deno.test("stored tensor: not-a-number keeps its bits", () => {
  const bits = Uint32Array.of(0x7fa00001, 0xffc12345, 0x7f800001, 1);
  const layout = { shape: [2, 2], strides: [1, 2], storageOffset: 0 };
  const read = new StoredTensor("float32", layout, storageOf(new Uint8Array(bits.buffer))).read();
  assert.deepEqual([...new Uint32Array(read.buffer)], [0x7fa00001, 0x7f800001, 0xffc12345, 1]);
});

Deno.test("stored tensor: a permuted one's bytes come in pieces in stored order, and are checked at the end", () => {
  const bytes = Uint8Array.from({ length: 50 }, (_, i) => i), buffer = new Uint8Array(20);
  let verified = 0;
  const storage = { ...storageOf(bytes), verify: () => void verified++ };
  const permuted = { shape: [4, 2, 3], strides: [1, 12, 4], storageOffset: 1 };
  const tensor = new StoredTensor("int16", permuted, storage);
  assert.deepEqual([tensor.isContiguous, tensor.isDense], [false, true]);
  const read = new Uint8Array(48), offsets: number[] = [];
  let offset = 0;
  for (const piece of tensor.storedPieces(buffer)) {
    read.set(piece, offset);
    offsets.push(offset);
    offset += piece.length;
  }
  assert.deepEqual([read, offsets, verified], [bytes.subarray(2), [0, 20, 40], 1]);
});

Deno.test("stored tensor: dense is what has every element of its span once", () => {
  const isDense = (shape: number[], strides: number[]) =>
    new StoredTensor("uint8", { shape, strides, storageOffset: 0 }, storageOf(new Uint8Array(100))).isDense;
  const cases: [shape: number[], strides: number[], dense: boolean][] = [
    [[2, 3, 4], [12, 4, 1], true],
    [[2, 3, 4], [1, 8, 2], true],
    [[2, 1, 4], [4, 77, 1], true],
    [[], [], true],
    [[1], [9], true],
    [[0, 3], [9, 9], true],
    [[2, 3], [6, 2], false],
    [[2, 3], [0, 1], false],
    [[2, 3], [1, 1], false],
    [[3, 2], [2, 2], false],
    [[4], [2], false],
  ];
  for (const [shape, strides, dense] of cases) {
    assert.equal(isDense(shape, strides), dense, `${shape} ${strides}`);
  }
});

Deno.test("stored tensor: sizes of one and zero do not matter to being contiguous", () => {
  const make = (shape: number[], strides: number[]) =>
    new StoredTensor("uint8", { shape, strides, storageOffset: 0 }, storageOf(new Uint8Array(100)));
  assert.ok(make([1, 5], [77, 1]).isContiguous);
  assert.ok(make([0, 5], [3, 3]).isContiguous);
  assert.ok(make([], []).isContiguous);
  assert.ok(!make([5, 1, 2], [1, 1, 5]).isContiguous);
  assert.deepEqual(contiguousStrides([2, 0, 3]), [3, 3, 1]);
});

Deno.test("stored tensor: impossible layouts are refused in one sentence", () => {
  const cases: [layout: Layout, message: RegExp][] = [
    [{ shape: [2], strides: [1, 1], storageOffset: 0 }, /must be as many and not negative/],
    [{ shape: [-1], strides: [1], storageOffset: 0 }, /not negative/],
    [{ shape: [2], strides: [-1], storageOffset: 4 }, /not negative/],
    [{ shape: [2.5], strides: [1], storageOffset: 0 }, /not negative/],
    [{ shape: [2], strides: [1], storageOffset: -1 }, /not negative/],
    [{ shape: [5], strides: [1], storageOffset: 0 }, /needs 20 bytes, storage 0 has 16/],
    [{ shape: [2], strides: [4], storageOffset: 0 }, /needs 20 bytes, storage 0 has 16/],
    [{ shape: [1], strides: [1], storageOffset: 4 }, /needs 20 bytes, storage 0 has 16/],
    [
      { shape: [2 ** 40, 2 ** 40], strides: [2 ** 40, 1], storageOffset: 0 },
      /needs .* bytes, storage 0 has 16/,
    ],
    [{ shape: [2 ** 20, 2 ** 20], strides: [0, 0], storageOffset: 0 }, /repeat and would take more than/],
    [{ shape: new Array(65).fill(1), strides: new Array(65).fill(1), storageOffset: 0 }, /must be as many/],
  ];
  for (const [layout, message] of cases) {
    throwsSentence(() => new StoredTensor("float32", layout, storageOf(new Uint8Array(16))), message);
  }
});
