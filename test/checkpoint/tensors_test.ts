import assert from "node:assert/strict";
import fc from "fast-check";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
import { type Storage, StoredTensor } from "../../src/checkpoint/stored_tensor.ts";
import { loadInto, loadTensor, tensorSource } from "../../src/checkpoint/tensors.ts";
import { emptyStrided, fromTypedArray, zeros } from "../../src/torch/create.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import { fixture, inFolder } from "./files.ts";

/** A storage in memory. */
function storageOf(bytes: Uint8Array): Storage {
  return {
    key: "0",
    byteLength: bytes.length,
    tensorLimit: 1 << 28,
    readInto: (offset, target) => target.set(bytes.subarray(offset, offset + target.length)),
    verify: () => {},
  };
}

const dimensions = fc.array(
  fc.record({ size: fc.integer({ min: 0, max: 4 }), stride: fc.integer({ min: 0, max: 12 }) }),
  { maxLength: 4 },
);

Deno.test("tensors: any layout is loaded into new tensors and into tensors of any layout", () => {
  const before = counters();
  fc.assert(
    fc.property(dimensions, fc.nat({ max: 5 }), fc.boolean(), (axes, storageOffset, reversed) => {
      const shape = axes.map(({ size }) => size), strides = axes.map(({ stride }) => stride);
      const numbers = Float32Array.from({ length: 200 }, (_, i) => i * i - 7);
      const storage = storageOf(new Uint8Array(numbers.buffer));
      const stored = new StoredTensor("float32", { shape, strides, storageOffset }, storage);
      const expected = [...new Float32Array(stored.read().buffer)];
      scope(() => {
        assert.deepEqual(loadTensor(stored).toNumbers(), expected);
        const turned = zeros(shape.toReversed()).permute(...shape.map((_, d) => shape.length - 1 - d));
        for (const target of [zeros(shape), reversed ? turned : zeros(shape, { dtype: "float64" })]) {
          loadInto(target, stored);
          assert.deepEqual(target.toNumbers(), expected);
        }
      });
    }),
  );
  assert.deepEqual(counters(), before);
});

Deno.test("tensors: what lies in a file with the channels last is so in memory, whatever the type", () => {
  using file = readCheckpoint(fixture("tensors.pt"));
  const tensors = file.root as Map<string, StoredTensor>;
  scope(() => {
    const last = loadTensor(tensors.get("channels_last")!);
    assert.deepEqual([last.shape, last.isChannelsLast], [[4, 3, 2, 2], true]);
    for (const [name, stored] of tensors) {
      const loaded = loadTensor(stored);
      assert.deepEqual([loaded.dtype, loaded.shape], [stored.dtype, stored.shape], name);
      assert.deepEqual(new Uint8Array(loaded.toTypedArray().buffer), stored.read(), name);
    }
  });
});

Deno.test("tensors: one larger than a piece, of any strides, is written row-major and read again", () => {
  inFolder((folder) => {
    scope(() => {
      const numbers = Float32Array.from({ length: 700_000 }, (_, i) => i);
      const rows = fromTypedArray(numbers, [700, 10, 10, 10]), last = rows.contiguous("channels_last");
      writeCheckpoint(`${folder}/a.pt`, { rows: tensorSource(rows), last: tensorSource(last) });
      using file = readCheckpoint(`${folder}/a.pt`);
      const read = file.root as Map<string, StoredTensor>;
      for (const name of ["rows", "last"]) {
        assert.ok(read.get(name)!.isContiguous);
        for (const like of [rows, last]) {
          const target = emptyStrided(like.shape, like.strides);
          loadInto(target, read.get(name)!);
          assert.deepEqual(target.toTypedArray(), numbers);
        }
      }
    });
  });
});
