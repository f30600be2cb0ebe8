import assert from "node:assert/strict";
import { deflateRawSync } from "node:zlib";
import { ByteFile } from "../../src/files/byte_file.ts";
import { readZip } from "../../src/zip/reader.ts";
import { ZipWriter } from "../../src/zip/writer.ts";
import { inFolder, throwsSentence } from "../checkpoint/files.ts";

const text = (value: string) => new TextEncoder().encode(value);

type Contents = readonly (readonly [name: string, bytes: Uint8Array])[];

const SAMPLE: Contents = [
  ["archive/data.pkl", text("a pickle")],
  ["archive/data/0", Uint8Array.from({ length: 3_000_001 }, (_, i) => i * 7 + (i >> 9))],
  ["archive/empty", new Uint8Array()],
  ["archive/größe", text("größe")],
];

function writeZip(path: string, contents: Contents, zip64From?: number): Uint8Array {
  using file = Deno.openSync(path, { write: true, create: true, truncate: true });
  const zip = new ZipWriter(file, zip64From);
  for (const [name, bytes] of contents) zip.add(name, bytes.length, [bytes]);
  zip.finish();
  return Deno.readFileSync(path);
}

/** All entries of the archive in `bytes`, read. */
function readAll(folder: string, bytes: Uint8Array): [string, Uint8Array][] {
  Deno.writeFileSync(`${folder}/read.zip`, bytes);
  using file = new ByteFile(`${folder}/read.zip`);
  return [...readZip(file)].map(([name, entry]) => [name, entry.read()]);
}

/** Where a record's four-byte mark stands for the `n`th time. */
function find(bytes: Uint8Array, mark: number, n = 0): number {
  const view = new DataView(bytes.buffer);
  for (let at = 0, seen = 0; at + 4 <= bytes.length; at++) {
    if (view.getUint32(at, true) === mark && seen++ === n) return at;
  }
  throw new Error("mark not found");
}

const LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, ZIP64_END = 0x06064b50;

/** An archive with one entry and no directory tricks, built by hand so that tests can lie in it. */
function handMade(
  name: string,
  stored: Uint8Array,
  fields: { method: number; size: number; crc: number },
): Uint8Array {
  const encoded = text(name);
  const local = new Uint8Array(30), central = new Uint8Array(46), end = new Uint8Array(22);
  const [l, c, e] = [local, central, end].map((bytes) => new DataView(bytes.buffer));
  l.setUint32(0, LOCAL, true);
  l.setUint16(8, fields.method, true);
  l.setUint16(26, encoded.length, true);
  c.setUint32(0, CENTRAL, true);
  c.setUint16(10, fields.method, true);
  c.setUint32(16, fields.crc, true);
  c.setUint32(20, stored.length, true);
  c.setUint32(24, fields.size, true);
  c.setUint16(28, encoded.length, true);
  e.setUint32(0, END, true);
  e.setUint16(8, 1, true);
  e.setUint16(10, 1, true);
  e.setUint32(12, 46 + encoded.length, true);
  e.setUint32(16, 30 + encoded.length + stored.length, true);
  return Uint8Array.from([...local, ...encoded, ...stored, ...central, ...encoded, ...end]);
}

Deno.test("zip: what is written is read, and begins at multiples of 64 bytes", () => {
  inFolder((folder) => {
    const bytes = writeZip(`${folder}/a.zip`, SAMPLE);
    assert.deepEqual(readAll(folder, bytes), SAMPLE);
    const view = new DataView(bytes.buffer);
    for (let n = 0; n < SAMPLE.length; n++) {
      const at = find(bytes, LOCAL, n);
      const start = at + 30 + view.getUint16(at + 26, true) + view.getUint16(at + 28, true);
      assert.equal(start % 64, 0);
    }
  });
});

Deno.test("zip: zip64 fields for sizes, places and both are written and read", () => {
  inFolder((folder) => {
    for (const zip64From of [0, 1, 64, 1000, 3_000_001, 3_000_100]) {
      assert.deepEqual(readAll(folder, writeZip(`${folder}/a.zip`, SAMPLE, zip64From)), SAMPLE);
    }
  });
});

Deno.test("zip: more entries than 16 bits count", () => {
  inFolder((folder) => {
    const many: Contents = Array.from({ length: 66_000 }, (_, i) => [`n/${i}`, text(String(i).padEnd(300))]);
    Deno.writeFileSync(`${folder}/a.zip`, writeZip(`${folder}/a.zip`, many));
    using file = new ByteFile(`${folder}/a.zip`);
    const entries = readZip(file);
    assert.equal(entries.size, 66_000);
    assert.deepEqual(entries.get("n/65999")!.read(), text("65999".padEnd(300)));
  });
});

Deno.test("zip: a directory that would take far more memory than its file is refused", () => {
  inFolder((folder) => {
    const count = 30_000, directory = new Uint8Array(46 * count), end = new Uint8Array(22);
    const view = new DataView(end.buffer);
    view.setUint32(0, END, true);
    view.setUint32(8, count * 0x10001, true);
    view.setUint32(12, directory.length, true);
    const bytes = Uint8Array.from([...directory, ...end]);
    throwsSentence(
      () => readAll(folder, bytes),
      /a directory of 30000 entries is more than a file of \d+ bytes needs/,
    );
  });
});

Deno.test("zip: an entry's bytes may come in pieces, but as many as was said", () => {
  inFolder((folder) => {
    using file = Deno.openSync(`${folder}/a.zip`, { write: true, create: true });
    const zip = new ZipWriter(file);
    zip.add("a", 6, ["ab", "", "cdef"].map(text));
    throwsSentence(() => zip.add("b", 3, [text("ab")]), /^b should have 3 bytes, its source gave 2$/);
    zip.finish();
    assert.deepEqual(readAll(folder, Deno.readFileSync(`${folder}/a.zip`)), [["a", text("abcdef")]]);
  });
});

Deno.test("zip: one changed byte anywhere in the data is noticed, however they are read", () => {
  inFolder((folder) => {
    const path = `${folder}/a.zip`, bytes = writeZip(path, SAMPLE);
    const at = find(bytes, LOCAL, 1);
    bytes[at + 2_500_000] ^= 1;
    Deno.writeFileSync(path, bytes);
    using file = new ByteFile(path);
    const damaged =
      /Cannot read archive\/data\/0 of .*a\.zip: it is damaged, its checksum is [0-9a-f]{8}, should be/;
    throwsSentence(() => readZip(file).get("archive/data/0")!.read(), damaged);
    const inPieces = readZip(file).get("archive/data/0")!;
    inPieces.readInto(10, new Uint8Array(5));
    inPieces.readInto(0, new Uint8Array(1000));
    throwsSentence(() => inPieces.verify(), damaged);
    throwsSentence(() => inPieces.verify(), damaged);
    assert.deepEqual(readZip(file).get("archive/data.pkl")!.read(), text("a pickle"));
  });
});

Deno.test("zip: deflated entries are unpacked and checked", () => {
  inFolder((folder) => {
    const original = text("many words, many words, many words, many words");
    const packed = new Uint8Array(deflateRawSync(original));
    const make = (size: number, crc: number) => handMade("a", packed, { method: 8, size, crc });
    const crc = 0x4f1a9be4;
    throwsSentence(() => readAll(folder, make(original.length, crc)), /a of .* is damaged, its checksum is/);
    const right = Number(
      `0x${/checksum is ([0-9a-f]+)/.exec(messageOf(() => readAll(folder, make(46, crc))))![1]}`,
    );
    assert.deepEqual(readAll(folder, make(original.length, right)), [["a", original]]);
    throwsSentence(
      () => readAll(folder, make(original.length + 1, right)),
      /it has 46 bytes, should have 47/,
    );
    throwsSentence(() => readAll(folder, make(original.length - 1, right)), /Cannot unpack a of /);
    throwsSentence(
      () => readAll(folder, handMade("a", packed.subarray(0, 9), { method: 8, size: 46, crc })),
      /Cannot unpack/,
    );
  });
});

function messageOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
}

Deno.test("zip: a zip bomb is refused before anything is unpacked", () => {
  inFolder((folder) => {
    const packed = new Uint8Array(deflateRawSync(new Uint8Array(50_000_000)));
    const bomb = handMade("a", packed, { method: 8, size: 50_000_000, crc: 0 });
    throwsSentence(
      () => readAll(folder, bomb),
      /"a" would unpack to 50000000 bytes, more than .* \(a zip bomb\)/,
    );
    const liar = handMade("a", packed, { method: 8, size: 1000, crc: 0 });
    throwsSentence(() => readAll(folder, liar), /Cannot unpack a of .*: .*1000 bytes/);
  });
});

Deno.test("zip: directories that do not fit their file are refused in one sentence", () => {
  inFolder((folder) => {
    const good = writeZip(`${folder}/a.zip`, SAMPLE);
    const withChange = (
      mark: number,
      n: number,
      offset: number,
      set: (view: DataView, at: number) => void,
    ) => {
      const bytes = good.slice();
      set(new DataView(bytes.buffer), find(bytes, mark, n) + offset);
      return bytes;
    };
    const with32 = (mark: number, n: number, offset: number, value: number) =>
      withChange(mark, n, offset, (view, at) => view.setUint32(at, value, true));
    const with16 = (mark: number, n: number, offset: number, value: number) =>
      withChange(mark, n, offset, (view, at) => view.setUint16(at, value, true));
    const cases: [bytes: Uint8Array, message: RegExp][] = [
      [good.subarray(0, good.length - 1), /its directory is missing, the file seems to be cut off/],
      [good.subarray(0, 1000), /its directory is missing/],
      [new Uint8Array(3), /its directory is missing/],
      [with32(END, 0, 8, 3000 * 0x10001), /a directory of 3000 entries in \d+ bytes at \d+ does not fit/],
      [with32(END, 0, 12, 0x7fffffff), /does not fit/],
      [with32(END, 0, 16, 5), /entry 0 of its directory is broken/],
      [with16(END, 0, 10, 3), /one part of several/],
      [with16(END, 0, 4, 1), /one part of several/],
      [with32(CENTRAL, 1, 0, 7), /entry 1 of its directory is broken/],
      [with16(CENTRAL, 0, 28, 60_000), /entry 0 of its directory is broken/],
      [with16(CENTRAL, 0, 8, 1), /"archive\/data.pkl" is encrypted/],
      [with16(CENTRAL, 0, 10, 12), /"archive\/data.pkl" has the unknown compression 12/],
      [with32(CENTRAL, 0, 24, 9), /"archive\/data.pkl" has 8 bytes but claims 9/],
      [with32(CENTRAL, 0, 20, 5000), /overlaps what begins at/],
      [with32(CENTRAL, 0, 24, 0xffffffff), /an entry's zip64 sizes are missing/],
      [with32(CENTRAL, 1, 42, 0), /overlaps what begins at/],
      [with32(CENTRAL, 3, 42, 0x70000000), /overlaps what begins at/],
      [with32(CENTRAL, 0, 42, 1), /there is no entry at 1/],
      [with16(LOCAL, 0, 28, 50_000), /overlap what begins at/],
      [
        withChange(CENTRAL, 0, 46, (view, at) => view.setUint8(at, 0x62)),
        /the entry at 0 is called "archive/,
      ],
    ];
    for (const [bytes, message] of cases) throwsSentence(() => readAll(folder, bytes), message);
  });
});

Deno.test("zip: zip64 numbers that overflow are refused", () => {
  inFolder((folder) => {
    const good = writeZip(`${folder}/a.zip`, SAMPLE, 0);
    for (const offset of [24, 32, 40, 48]) {
      for (const value of [2n ** 64n - 1n, 2n ** 63n, 2n ** 53n + 1n, 2n ** 32n]) {
        const bytes = good.slice();
        new DataView(bytes.buffer).setBigUint64(find(bytes, ZIP64_END) + offset, value, true);
        if (offset === 24) assert.deepEqual(readAll(folder, bytes), SAMPLE); // entries on this disk: not used
        else throwsSentence(() => readAll(folder, bytes), /^Cannot read .*read\.zip as a zip archive: /);
      }
    }
    const extra = find(good, CENTRAL) + 46 + SAMPLE[0][0].length + 4;
    for (const field of [0, 8, 16]) {
      const bytes = good.slice();
      new DataView(bytes.buffer).setBigUint64(extra + field, 2n ** 64n - 1n, true);
      throwsSentence(() => readAll(folder, bytes), /overlaps|claims|zip bomb/);
    }
  });
});

Deno.test("zip: two entries of one name are refused", () => {
  inFolder((folder) => {
    const bytes = writeZip(`${folder}/a.zip`, [["a", text("1")], ["a", text("2")]]);
    throwsSentence(() => readAll(folder, bytes), /two entries called "a"/);
  });
});
