import assert from "node:assert/strict";
import fc from "fast-check";
import { type Picklable, pickle, PickleFloat } from "../../src/checkpoint/pickle.ts";
import { torchValues } from "../../src/checkpoint/pytorch_values.ts";
import { StoredTensor } from "../../src/checkpoint/stored_tensor.ts";
import { unpickle } from "../../src/checkpoint/unpickle.ts";
import { source, throwsSentence } from "./files.ts";
import { sampleValues } from "./samples.ts";

const storage = (key: string, byteLength: number) => ({
  key,
  byteLength,
  tensorLimit: 1 << 20,
  readInto: () => {},
  verify: () => {},
});
const roundTrip = (value: Picklable) => unpickle(pickle(value).bytes, torchValues(0, storage)).value;

Deno.test("pickle: any plain data come back", () => {
  const { value } = fc.letrec<{ value: Picklable }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.maxSafeInteger(),
      fc.double(),
      fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }).filter((n) => !Number.isSafeInteger(Number(n))),
      fc.string({ unit: "grapheme" }),
      fc.uint8Array(),
      fc.array(tie("value"), { maxLength: 5 }),
      fc.array(tie("value"), { maxLength: 5 }).map((items) => Object.freeze(items)),
      fc.array(fc.tuple(fc.oneof(fc.string(), fc.integer(), fc.boolean()), tie("value")), { maxLength: 5 })
        .map((entries) => new Map(entries)),
    ),
  }));
  fc.assert(fc.property(value, (value) => assert.deepEqual(roundTrip(value), value)), { numRuns: 300 });
});

Deno.test("pickle: plain objects become dicts, wrapped numbers floats", () => {
  assert.deepEqual(roundTrip({ a: { b: [1] } }), new Map([["a", new Map([["b", [1]]])]]));
  assert.equal(roundTrip(new PickleFloat(4)), 4);
  const opcode = (value: Picklable) => String.fromCharCode(pickle(value).bytes[2]);
  assert.equal(opcode(new PickleFloat(4)), "G");
  assert.equal(opcode(4), "K");
  assert.equal(opcode(4.5), "G");
  assert.equal(opcode(2 ** 60), "G");
});

Deno.test("pickle: texts are written once, and never taken for a class of the same words", () => {
  const { bytes } = pickle(["some words", "some words"]);
  assert.equal(new TextDecoder().decode(bytes).split("some words").length, 2);
  const names = ["torch\nFloatStorage\n", "global torch.FloatStorage", "text x", "x"];
  const tensor = source("float32", [1], [1]);
  const back = roundTrip([...names, tensor, ...names]) as unknown[];
  assert.deepEqual([...back.slice(0, 4), ...back.slice(5)], [...names, ...names]);
  assert.ok(back[4] instanceof StoredTensor);
});

Deno.test("pickle: tensors are listed once each, in the order of their first mention", () => {
  const [a, b] = [source("float32", [2, 3], []), source("int64", [], [])];
  const { tensors } = pickle({ x: [b, a], y: b });
  assert.deepEqual(tensors, [b, a]);
  const back = roundTrip({ x: [b, a], y: b }) as Map<string, StoredTensor & StoredTensor[]>;
  assert.equal(back.get("x")![0], back.get("y"));
  assert.deepEqual(back.get("x")![1].shape, [2, 3]);
  assert.deepEqual([back.get("y")!.dtype, back.get("y")!.storage.byteLength], ["int64", 8]);
});

Deno.test("pickle: a long pickle is whole", () => {
  assert.ok(pickle(sampleValues()).bytes.length > 4096);
  const long = Array.from({ length: 5000 }, (_, i) => `text number ${i}`);
  assert.deepEqual(roundTrip(long), long);
});

Deno.test("pickle: what is no plain data is refused, with where it stands", () => {
  const wrong = (value: unknown) => value as Picklable;
  throwsSentence(
    () => pickle(wrong({ a: { b: new Date() } })),
    /Cannot write a\.b: it is a Date, not plain data/,
  );
  throwsSentence(() => pickle(wrong([1, undefined])), /Cannot write 1: it is undefined/);
  throwsSentence(() => pickle(wrong(() => {})), /Cannot write the tree: it is function/);
  const self: unknown[] = [];
  self.push(self);
  throwsSentence(() => pickle(wrong(self)), /Cannot write 0\.0\.0\.0\.0\.\.\.: it is too deep/);
  throwsSentence(() => pickle(2n ** 2100n), /an integer of 263 bytes: 255 is the limit/);
});
