import assert from "node:assert/strict";
import { readSafetensors, writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { ITEM_BYTES, type StoredDType, type TensorSource } from "../../src/checkpoint/stored_tensor.ts";
import { inFolder, numbersOf, source, throwsSentence } from "./files.ts";

const ALL_TYPES = Object.keys(ITEM_BYTES) as StoredDType[];

/** Writes a file of a header (object or text) and so many bytes of data. */
function writeRaw(path: string, header: unknown, dataBytes: number): void {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  Deno.writeFileSync(path, bytes);
}

const entry = (start: number, end: number, shape = [(end - start) / 4], dtype: unknown = "F32") => ({
  dtype,
  shape,
  data_offsets: [start, end],
});

Deno.test("safetensors: every type, shape and metadata survive writing and reading", () => {
  inFolder((folder) => {
    const path = `${folder}/a.safetensors`;
    const tensors = new Map<string, TensorSource>(
      ALL_TYPES.map((dtype) => [`of ${dtype} "quoted"`, source(dtype, [2, 3], [0, 1, 1, 0, 1, 1])]),
    );
    tensors.set("scalar", source("int64", [], [-7]));
    tensors.set("empty", source("float32", [0, 4], []));
    tensors.set("7", source("float64", [2], [Math.PI, -1e300]));
    writeSafetensors(path, tensors, { format: "pt", "ключ": "значение" });

    using file = readSafetensors(path);
    assert.deepEqual(Object.fromEntries(file.metadata), { format: "pt", "ключ": "значение" });
    assert.deepEqual([...file.tensors.keys()].sort(), [...tensors.keys()].sort());
    for (const [name, tensor] of file.tensors) {
      const written = tensors.get(name)!;
      assert.equal(tensor.dtype, written.dtype);
      assert.deepEqual(tensor.shape, written.shape);
      assert.deepEqual(tensor.read(), written.read());
    }
    assert.deepEqual(numbersOf(file.tensors.get("scalar")!), [-7]);
    assert.deepEqual(numbersOf(file.tensors.get("7")!), [Math.PI, -1e300]);
  });
});

Deno.test("safetensors: the header is padded and wider elements come first, so that all are aligned", () => {
  inFolder((folder) => {
    const path = `${folder}/a.safetensors`;
    writeSafetensors(
      path,
      new Map([["a", source("uint8", [3], [1, 2, 3])], ["b", source("float64", [1], [4])]]),
    );
    const bytes = Deno.readFileSync(path);
    const header = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    assert.equal(header % 8, 0);
    assert.match(new TextDecoder().decode(bytes.subarray(8, 8 + header)), /"b".*\[0,8\].*"a".*\[8,11\]/);
  });
});

Deno.test("safetensors: a header that does not fit is refused in one sentence", () => {
  inFolder((folder) => {
    const path = `${folder}/bad.safetensors`;
    const cases: [header: unknown, dataBytes: number, message: RegExp][] = [
      ["[]", 0, /not a JSON object/],
      ["{", 0, /JSON/],
      ['{"a":3}', 0, /a is not described by a JSON object/],
      ['{"__metadata__":{"a":3}}', 0, /metadata a is not a string/],
      [{ a: entry(0, 16, [4], "F8_E4M3") }, 16, /a has the type "F8_E4M3", known are F64/],
      [{ a: entry(0, 16, [4], ["F32"]) }, 16, /a has no type, known are F64/],
      [{ a: entry(0, 16, [5]) }, 16, /a of type F32 and shape \[5\] takes 20 bytes, it has 16/],
      [{ a: entry(0, 16, [-4]) }, 16, /a has no shape of whole numbers/],
      [{ a: entry(0, 16, [2 ** 31, 2 ** 31, 2 ** 31]) }, 16, /takes .* bytes, it has 16/],
      [{ a: entry(16, 0, [4]) }, 16, /a has no data_offsets/],
      [{ a: entry(0, 32) }, 16, /a ends at byte \d+, the file has \d+/],
      [{ a: entry(0, 16), b: entry(12, 20) }, 20, /b overlaps another tensor/],
      [{ a: entry(0, 16), b: entry(20, 24) }, 24, /b leaves a gap/],
      [{ a: entry(0, 16) }, 20, /tensors take 16 bytes, the file has 20/],
      [`{"a":[${"[],".repeat(600_000)}[]]}`, 0, /more parts than a file of \d+ bytes needs/],
    ];
    for (const [header, dataBytes, message] of cases) {
      writeRaw(path, header, dataBytes);
      throwsSentence(() => readSafetensors(path), message);
      throwsSentence(() => readSafetensors(path), /^Cannot read safetensors from .*bad\.safetensors: /);
    }
  });
});

Deno.test("safetensors: a header longer than the file is refused", () => {
  inFolder((folder) => {
    const path = `${folder}/bad.safetensors`;
    Deno.writeFileSync(path, Uint8Array.of(1, 2, 3));
    throwsSentence(() => readSafetensors(path), /takes 8 bytes, the file has 3/);
    Deno.writeFileSync(path, new Uint8Array(20).fill(0xff));
    throwsSentence(() => readSafetensors(path), /header would take .* bytes, the file has 20/);
  });
});

Deno.test("safetensors: a source that gives another number of bytes leaves no file", () => {
  inFolder((folder) => {
    const short: TensorSource = { dtype: "float32", shape: [2], read: () => new Uint8Array(7) };
    throwsSentence(
      () => writeSafetensors(`${folder}/a`, new Map([["w", short]])),
      /Cannot write .*: w of shape \[2\] takes 8 bytes, its source gave 7/,
    );
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  });
});

Deno.test("safetensors: a tensor cannot be read after its file was closed", () => {
  inFolder((folder) => {
    writeSafetensors(`${folder}/a`, new Map([["w", source("float32", [2], [1, 2])]]));
    const file = readSafetensors(`${folder}/a`);
    file[Symbol.dispose]();
    throwsSentence(() => file.tensors.get("w")!.read(), /has been closed/);
  });
});
