import assert from "node:assert/strict";
import { maskedCrc32c, TensorBoardWriter } from "../../src/log/tensorboard.ts";

type Fields = [field: number, value: number | Uint8Array][];

/** Decodes a protocol buffer: whole numbers and lengths as numbers, the rest as bytes. */
function decodeMessage(bytes: Uint8Array): Fields {
  const fields: Fields = [];
  let at = 0;
  const varint = () => {
    let value = 0, factor = 1;
    for (;; factor *= 0x80) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint(), type = key & 7;
    if (type === 0) fields.push([key >>> 3, varint()]);
    else {
      const length = type === 1 ? 8 : type === 5 ? 4 : varint();
      assert.ok(type === 1 || type === 2 || type === 5, `wire type ${type}`);
      fields.push([key >>> 3, bytes.slice(at, at += length)]);
    }
  }
  return fields;
}

/** Splits a file into its records, whose check sums must be right. */
function decodeRecords(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset), records = [];
  for (let at = 0; at < file.length;) {
    const length = Number(view.getBigUint64(at, true));
    assert.equal(view.getUint32(at + 8, true), maskedCrc32c(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    assert.equal(view.getUint32(at + 12 + length, true), maskedCrc32c(data));
    records.push(data);
    at += length + 16;
  }
  return records;
}

const text = (value: number | Uint8Array) => new TextDecoder().decode(value as Uint8Array);
const double = (value: number | Uint8Array) => new Float64Array((value as Uint8Array).buffer)[0];
const float = (value: number | Uint8Array) => new Float32Array((value as Uint8Array).buffer)[0];

/** An event as a plain object. */
function decodeEvent(data: Uint8Array): Record<string, unknown> {
  const event: Record<string, unknown> = {};
  for (const [field, value] of decodeMessage(data)) {
    if (field === 1) event.time = double(value);
    else if (field === 2) event.step = value;
    else if (field === 3) event.version = text(value);
    else if (field === 7) event.session = decodeMessage(value as Uint8Array);
    else {
      assert.equal(field, 5);
      event.values = Object.fromEntries(
        decodeMessage(value as Uint8Array).map(([one, summary]) => {
          assert.equal(one, 1);
          const [[, tag], [, number]] = decodeMessage(summary as Uint8Array);
          return [text(tag), float(number)];
        }),
      );
    }
  }
  return event;
}

/** The event files of a folder in the order in which TensorBoard reads them. */
function eventFiles(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
}

function inFolder(use: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    use(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("tensorboard: the masked CRC-32C of a known text", () => {
  // RFC 3720's check value of "123456789" is e3069283.
  const unmasked = 0xe3069283;
  const masked = ((unmasked >>> 15 | unmasked << 17) + 0xa282ead8) >>> 0;
  assert.equal(maskedCrc32c(new TextEncoder().encode("123456789")), masked);
});

Deno.test("tensorboard: what was written is decoded again", () => {
  inFolder((folder) => {
    const longTag = "tag/" + "ä".repeat(40_000);
    {
      using writer = new TensorBoardWriter(`${folder}/made`, { now: () => 1_700_000_000_250 });
      writer.scalars(0, { "train/loss": 1.5 });
      writer.scalars(300, { "train/loss": -0.1, "lr": NaN });
      writer.scalars(2 ** 40 + 5, { [longTag]: Infinity });
    }
    const [name, ...others] = eventFiles(`${folder}/made`);
    assert.equal(name, "events.out.tfevents.1700000000.stec.000");
    assert.equal(others.length, 0);
    const time = 1_700_000_000.25;
    assert.deepEqual(decodeRecords(Deno.readFileSync(`${folder}/made/${name}`)).map(decodeEvent), [
      { time, version: "brain.Event:2" },
      { time, step: 0, values: { "train/loss": 1.5 } },
      { time, step: 300, values: { "train/loss": Math.fround(-0.1), "lr": NaN } },
      { time, step: 2 ** 40 + 5, values: { [longTag]: Infinity } },
    ]);
  });
});

Deno.test("tensorboard: a resumed run has a later file that begins by purging", () => {
  inFolder((folder) => {
    const now = () => 1_700_000_000_000;
    const open = (purgeStep?: number) => new TensorBoardWriter(folder, { purgeStep, now })[Symbol.dispose]();
    open();
    const first = eventFiles(folder);
    open(120);
    const both = eventFiles(folder);
    assert.equal(both.length, 2);
    assert.equal(both[0], first[0]);
    const events = decodeRecords(Deno.readFileSync(`${folder}/${both[1]}`)).map(decodeEvent);
    assert.deepEqual(events[1], { time: 1_700_000_000, step: 120, session: [[1, 1]] });
  });
});

Deno.test("tensorboard: a file that is made after the clock was set back sorts behind the others", () => {
  inFolder((folder) => {
    for (const seconds of [1_700_000_000, 1_600_000_000, 1_600_000_000]) {
      const before = eventFiles(folder);
      new TensorBoardWriter(folder, { now: () => seconds * 1000 })[Symbol.dispose]();
      assert.deepEqual(eventFiles(folder).slice(0, -1), before);
    }
    assert.equal(eventFiles(folder).length, 3);
  });
});

Deno.test("tensorboard: an event is in the file as soon as it is written", () => {
  inFolder((folder) => {
    using writer = new TensorBoardWriter(folder);
    writer.scalars(1, { a: 1 });
    assert.equal(decodeRecords(Deno.readFileSync(`${folder}/${eventFiles(folder)[0]}`)).length, 2);
  });
});
