import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { PickleGlobal, PickleObject } from "../../src/checkpoint/pickle_values.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
import { readSafetensors, writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { StoredTensor, type TensorSource } from "../../src/checkpoint/stored_tensor.ts";
import { ZipWriter } from "../../src/zip/writer.ts";
import { fixture, inFolder, numbersOf, throwsSentence } from "./files.ts";
import { sampleTensors, sampleValues } from "./samples.ts";

const EXPECTED: Record<string, Record<string, string>> = JSON.parse(
  Deno.readTextFileSync(fixture("expected.json")),
);

/** Every tensor by the keys that lead to it, as scripts/check_with_pytorch.py has it. */
function digest(value: unknown, path = ""): Record<string, string> {
  if (value instanceof StoredTensor) {
    const hash = createHash("sha256").update(value.read()).digest("hex");
    return { [path]: `${value.dtype} [${value.shape.join(", ")}] ${hash}` };
  }
  if (!(value instanceof Map || Array.isArray(value))) return {};
  return Object.assign({}, ...Array.from(value.entries(), ([key, inner]) => digest(inner, `${path}/${key}`)));
}

for (const [name, tensors] of Object.entries(EXPECTED).filter(([name]) => !name.endsWith("safetensors"))) {
  Deno.test(`pytorch: every tensor of ${name}, which real PyTorch wrote, has the right bytes`, () => {
    using file = readCheckpoint(fixture(name));
    assert.equal(file.form, name.startsWith("legacy") ? "legacy" : "zip");
    assert.deepEqual(digest(file.root), tensors);
  });
}

Deno.test("pytorch: every tensor of the original library's safetensors has the right bytes", () => {
  using file = readSafetensors(fixture("library.safetensors"));
  assert.deepEqual(digest(file.tensors), EXPECTED["library.safetensors"]);
  assert.equal(file.metadata.get("note"), "written by the library");
});

Deno.test("pytorch: strided tensors keep their strides, shared ones their storage", () => {
  for (const name of ["tensors.pt", "legacy_tensors.pt"]) {
    using file = readCheckpoint(fixture(name));
    const tensors = file.root as Map<string, StoredTensor>;
    const base = tensors.get("torch.float32")!;
    assert.deepEqual(tensors.get("transposed")!.strides, [1, 6]);
    assert.equal(tensors.get("transposed")!.storage, base.storage);
    assert.equal(tensors.get("slice")!.storageOffset, 6);
    assert.deepEqual(tensors.get("expanded")!.strides, [1, 0]);
    assert.deepEqual(numbersOf(tensors.get("expanded")!), [1.5, 1.5, 1.5, 2.5, 2.5, 2.5]);
    assert.deepEqual(numbersOf(tensors.get("column")!), numbersOf(base).filter((_, i) => i % 6 === 1));
    assert.deepEqual(numbersOf(tensors.get("not_finite")!), [Infinity, -Infinity, NaN]);
  }
});

Deno.test("pytorch: plain data come as they were", () => {
  using file = readCheckpoint(fixture("plain.pt"));
  const root = file.root as Map<string, unknown>;
  assert.equal(root.get("none"), null);
  assert.deepEqual(root.get("ints"), [0, 255, 256, 65536, -1, -(2 ** 31), 2 ** 40, 2n ** 70n, -(2n ** 70n)]);
  assert.deepEqual(root.get("floats"), [0.1, -2.5, 1e300, Infinity, 4]);
  assert.deepEqual(root.get("texts"), ["", "größe 日本 🎈"]);
  assert.deepEqual(root.get("bytes"), Uint8Array.of(0, 127, 128, 255));
  assert.deepEqual(root.get("tuple"), [1, ["a", []]]);
  const dict = root.get("dict") as Map<unknown, unknown>;
  assert.deepEqual([...dict.keys()], [0, "0", [1, 2]]);
  assert.deepEqual([...(root.get("ordered") as Map<string, number>)], [["b", 1], ["a", 2]]);
  assert.deepEqual(root.get("set"), new Set([3]));
  assert.deepEqual(root.get("size"), [2, 3]);
});

Deno.test("pytorch: odd objects beside the weights are inert records", () => {
  for (const name of ["odd.pt", "legacy_odd.pt"]) {
    using file = readCheckpoint(fixture(name));
    const root = file.root as Map<string, unknown>;
    const namespace = root.get("namespace") as PickleObject;
    assert.equal(`${namespace.module}.${namespace.name}`, "argparse.Namespace");
    assert.deepEqual(namespace.state, new Map<string, unknown>([["lr", 0.1], ["names", ["a", "b"]]]));
    assert.deepEqual((root.get("path") as PickleObject).args, ["some", "folder"]);
    assert.deepEqual((root.get("device") as PickleObject).args, ["cpu"]);
    assert.equal((root.get("dtype") as PickleGlobal).path, "torch.float16");
    assert.ok(root.get("complex") instanceof PickleObject);
    assert.ok(root.get("sparse") instanceof PickleObject);
    assert.deepEqual(root.get("default"), new Map([["k", [1]]]));
    assert.deepEqual(root.get("counter"), new Map([["a", 2], ["b", 1]]));
    const [first, second] = root.get("shared") as unknown[];
    assert.equal(first, second);
  }
});

Deno.test("pytorch: what is written is byte for byte what real PyTorch has opened", () => {
  inFolder((folder) => {
    writeCheckpoint(`${folder}/tensors.pt`, sampleTensors());
    writeCheckpoint(`${folder}/values.pt`, sampleValues());
    for (const name of ["tensors.pt", "values.pt"]) {
      assert.deepEqual(Deno.readFileSync(`${folder}/${name}`), Deno.readFileSync(fixture(`written_${name}`)));
    }
  });
});

Deno.test("pytorch: what is written is read again, with its metadata", () => {
  inFolder((folder) => {
    writeCheckpoint(`${folder}/a.pt`, { weights: sampleTensors(), step: 7 }, { note: "ü" });
    using file = readCheckpoint(`${folder}/a.pt`);
    assert.deepEqual([...file.metadata], [["note", "ü"]]);
    const root = file.root as Map<string, Map<string, StoredTensor>>;
    assert.equal(root.get("step"), 7);
    for (const [name, written] of sampleTensors()) {
      const read = root.get("weights")!.get(name)!;
      assert.deepEqual([read.dtype, read.shape, read.read()], [written.dtype, written.shape, written.read()]);
    }
  });
});

Deno.test("pytorch: a checkpoint that was read can be written, one tensor at a time", () => {
  inFolder((folder) => {
    using file = readCheckpoint(fixture("tensors.pt"));
    writeCheckpoint(`${folder}/again.pt`, file.root as Map<string, StoredTensor>);
    using again = readCheckpoint(`${folder}/again.pt`);
    assert.deepEqual(digest(again.root), EXPECTED["tensors.pt"]);
  });
});

Deno.test("pytorch: sources that come in pieces are not asked for the whole", () => {
  const filling = (length: number, value: number, given = length): TensorSource => ({
    dtype: "uint8",
    shape: [length],
    read: () => assert.fail("the whole tensor was asked for"),
    *pieces(buffer) {
      for (let i = 0; i < given; i++) yield buffer.subarray(0, 1).fill(value);
    },
  });
  inFolder((folder) => {
    const tensors = new Map([["a", filling(3, 1)], ["b", filling(5, 2)], ["c", filling(0, 3)]]);
    writeCheckpoint(`${folder}/a.pt`, tensors);
    writeSafetensors(`${folder}/a.safetensors`, tensors);
    using file = readCheckpoint(`${folder}/a.pt`);
    using other = readSafetensors(`${folder}/a.safetensors`);
    for (const read of [file.root as Map<string, StoredTensor>, other.tensors]) {
      assert.deepEqual([...read.get("a")!.read(), ...read.get("b")!.read()], [1, 1, 1, 2, 2, 2, 2, 2]);
    }
    for (const given of [2, 4]) {
      const wrong = new Map([["a", filling(3, 1, given)]]);
      const message = new RegExp(`of shape \\[3\\] takes 3 bytes, its source gave ${given}$`);
      throwsSentence(() => writeCheckpoint(`${folder}/a.pt`, wrong), message);
      throwsSentence(() => writeSafetensors(`${folder}/a.safetensors`, wrong), message);
    }
  });
});

// Bad input

/** A file as PyTorch makes it, of the given entries. */
function writeArchive(path: string, entries: Readonly<Record<string, string>>): void {
  using file = Deno.openSync(path, { write: true, create: true, truncate: true });
  const zip = new ZipWriter(file);
  for (const [name, contents] of Object.entries(entries)) {
    zip.add(name, contents.length, [Buffer.from(contents, "latin1")]);
  }
  zip.finish();
}

const number = (n: number) => `J${String.fromCharCode(n & 255, n >> 8 & 255, n >> 16 & 255, n >> 24 & 255)}`;
const word = (text: string) => `X${String.fromCharCode(text.length)}\0\0\0${text}`;

/** A pickle of one float32 tensor of shape [2]. */
function tensorPickle(
  { count = 2, shape = 2, stride = 1, offset = 0, kind = "FloatStorage", tag = "storage" } = {},
) {
  return "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" +
    `(${word(tag)}ctorch\n${kind}\n${word("0")}${word("cpu")}${number(count)}tQ` +
    `${number(offset)}${number(shape)}\x85${number(stride)}\x85\x89ccollections\nOrderedDict\n)RtR.`;
}

Deno.test("pytorch: files that are no checkpoint are refused in one sentence", () => {
  const pickle = tensorPickle();
  const good = { "x/data.pkl": pickle, "x/byteorder": "little", "x/data/0": "12345678" };
  const cases: [entries: Record<string, string>, message: RegExp][] = [
    [{ "x/version": "3" }, /a zip archive with no data.pkl, so torch.save has not made it/],
    [{ ...good, "y/data.pkl": pickle }, /a zip archive with 2 data.pkl/],
    [{ "data.pkl": pickle }, /no data.pkl/],
    [{ ...good, "x/byteorder": "big" }, /its numbers are big-endian, only little-endian ones/],
    [{ ...good, "x/byteorder": "x".repeat(1000) }, /its numbers are unknown-endian/],
    [{ ...good, "x/constants.pkl": "" }, /it is a TorchScript program, not a checkpoint/],
    [{ "x/data.pkl": pickle }, /its storage data\/0 is missing/],
    [{ ...good, "x/data/0": "1234" }, /its storage data\/0 has 4 bytes, the pickle says 8/],
    [{ ...good, "x/data.pkl": "" }, /The pickle is cut off/],
    [
      { ...good, "x/data.pkl": tensorPickle({ shape: 3 }) },
      /shape \[3\], strides \[1\] at 0: it needs 12 bytes/,
    ],
    [
      { ...good, "x/data.pkl": tensorPickle({ shape: 0x7fffffff }) },
      /needs 8589934588 bytes, storage x\/data\/0 has 8/,
    ],
    [{ ...good, "x/data.pkl": tensorPickle({ shape: 0x7fffffff, stride: 0 }) }, /its elements repeat/],
    [{ ...good, "x/data.pkl": tensorPickle({ offset: 0x7fffffff }) }, /it needs \d+ bytes/],
    [{ ...good, "x/data.pkl": tensorPickle({ stride: -1 }) }, /must be as many and not negative/],
    [
      { ...good, "x/data.pkl": tensorPickle({ count: 0x7fffffff }) },
      /has 8 bytes, the pickle says 8589934588/,
    ],
    [
      { ...good, "x/data.pkl": tensorPickle({ count: -1 }) },
      /refers to data outside of it that is no storage/,
    ],
    [
      { ...good, "x/data.pkl": tensorPickle({ tag: "module" }) },
      /refers to data outside of it that is no storage/,
    ],
    [{ ...good, "x/data.pkl": "cos\nsystem\n(S'rm -rf /'\ntR." }, /calls os\.system, .* nothing was run/],
  ];
  inFolder((folder) => {
    const path = `${folder}/bad.ckpt`;
    writeArchive(path, good);
    using file = readCheckpoint(path);
    assert.deepEqual((file.root as StoredTensor).read(), new Uint8Array(Buffer.from("12345678")));
    for (const [entries, message] of cases) {
      writeArchive(path, entries);
      throwsSentence(() => readCheckpoint(path), message);
      throwsSentence(() => readCheckpoint(path), /^Cannot read the checkpoint .*bad\.ckpt: /);
    }
    for (const contents of ["", "PK", "no checkpoint at all", "\x80\x02N."]) {
      Deno.writeTextFileSync(path, contents);
      throwsSentence(
        () => readCheckpoint(path),
        /^Cannot read the checkpoint .*(empty|directory is missing|neither)/,
      );
    }
    throwsSentence(() => readCheckpoint(folder), /it is not a file|Is a directory/);
    assert.throws(() => readCheckpoint(`${folder}/none.ckpt`), Deno.errors.NotFound);
  });
});

Deno.test("pytorch: names from a file cannot make the message long or break it", () => {
  inFolder((folder) => {
    const evil = "sys\x1b[2J\ntem" + "x".repeat(1000);
    const name = `X${String.fromCharCode(evil.length & 255, evil.length >> 8)}\0\0${evil}`;
    writeArchive(`${folder}/a.pt`, { "x/data.pkl": `${word("os")}${name}\x93)R.` });
    throwsSentence(
      () => readCheckpoint(`${folder}/a.pt`),
      // deno-lint-ignore no-control-regex -- what could drive a terminal is escaped there
      /calls os\.sys\x1b\[2J\\ntemx{300,500}\.\.\.$/,
    );
  });
});

Deno.test("pytorch: lists that double at every level as the older form's keys are refused in one sentence", () => {
  throwsSentence(
    () => readCheckpoint(fixture("legacy_doubled_keys.pt")),
    /its storage \[\[\[\[.{100,250}\.\.\. belongs to no tensor$/,
  );
});

Deno.test("pytorch: a storage of an unknown type leaves its tensor inert", () => {
  inFolder((folder) => {
    const entries = { "x/data.pkl": tensorPickle({ kind: "NewStorage" }), "x/data/0": "12345678" };
    writeArchive(`${folder}/a.pt`, entries);
    using file = readCheckpoint(`${folder}/a.pt`);
    assert.equal((file.root as PickleObject).name, "_rebuild_tensor_v2");
  });
});

Deno.test("pytorch: tensors that share a storage thousands of times are refused", () => {
  inFolder((folder) => {
    const bytes = 100_000, one = tensorPickle({ count: bytes / 4, shape: bytes / 4 }).slice(2, -1);
    const pickle = (times: number) => `(${one.repeat(times)}t.`;
    const write = (times: number) =>
      writeArchive(`${folder}/a.pt`, { "x/data.pkl": pickle(times), "x/data/0": "a".repeat(bytes) });
    write(600);
    using file = readCheckpoint(`${folder}/a.pt`);
    assert.equal((file.root as unknown[]).length, 600);
    write(700);
    throwsSentence(
      () => readCheckpoint(`${folder}/a.pt`),
      /tensors would take \d+ bytes, by sharing the few/,
    );
  });
});

Deno.test("pytorch: a damaged weight is noticed when it is read, a damaged pickle at once", () => {
  inFolder((folder) => {
    const path = `${folder}/a.ckpt`, bytes = Deno.readFileSync(fixture("tensors.pt"));
    const clean = bytes.slice();
    using original = readCheckpoint(fixture("tensors.pt"));
    const wanted = (original.root as Map<string, StoredTensor>).get("torch.float64")!.read();
    const at = Buffer.from(bytes).indexOf(Buffer.from(wanted));
    bytes[at + 5] ^= 0x10;
    Deno.writeFileSync(path, bytes);
    using file = readCheckpoint(path);
    const tensors = file.root as Map<string, StoredTensor>;
    throwsSentence(
      () => tensors.get("torch.float64")!.read(),
      /Cannot read tensors\/data\/0 of .*: it is damaged/,
    );
    assert.ok(tensors.get("torch.int8")!.read());
    clean[200] ^= 1;
    Deno.writeFileSync(path, clean);
    throwsSentence(() => readCheckpoint(path), /data.pkl of .*: it is damaged, its checksum/);
  });
});

Deno.test("pytorch: the older form, cut off or changed, is refused in one sentence", () => {
  const bytes = Deno.readFileSync(fixture("legacy_tensors.pt"));
  inFolder((folder) => {
    const path = `${folder}/a.pt`;
    const refused = (contents: Uint8Array, message: RegExp) => {
      Deno.writeFileSync(path, contents);
      throwsSentence(() => readCheckpoint(path), message);
    };
    for (const length of [20, 100, 500, 2000]) refused(bytes.subarray(0, length), /cut off/);
    refused(
      bytes.subarray(0, bytes.length - 1),
      /its storage \d+ ends at byte \d+, the file has \d+: it is cut off/,
    );
    const withText = (from: string, to: string) =>
      Buffer.from(Buffer.from(bytes).toString("latin1").replace(from, to), "latin1");
    refused(withText("M\xe9\x03", "M\xe8\x03"), /unknown version of the older form/);
    refused(withText("little_endianq\x02\x88", "little_endianq\x02\x89"), /its numbers are big-endian/);
    const key = /X..\0\0(\d{6,})q/.exec(Buffer.from(bytes).toString("latin1"))![1];
    refused(
      withText(key, `7${key.slice(1)}`),
      /its storage \d+ (is missing|belongs to no tensor)/,
    );
  });
});
