/**
 * TensorBoard event files. A file is a row of TFRecords (length, masked CRC of the length, bytes, masked CRC
 * of the bytes), each a protocol buffer `Event`; the three messages that are needed are encoded by hand.
 *
 * @module
 */

import { append } from "../files/atomic.ts";

/** How {@linkcode TensorBoardWriter} behaves. */
export interface TensorBoardOptions {
  /** The first step that is written anew after a resume: TensorBoard drops older files' points from it on. */
  readonly purgeStep?: number;
  /** Milliseconds since 1970, `Date.now` unless a test brings its own clock. */
  readonly now?: () => number;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? byte >>> 1 ^ 0x82f63b78 : byte >>> 1;
  return byte;
});

/** The masked CRC-32C (Castagnoli) of TFRecord files: rotated right by 15 bits, plus a constant. */
export function maskedCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ crc >>> 8;
  crc = ~crc;
  return ((crc >>> 15 | crc << 17) + 0xa282ead8) >>> 0;
}

/** One TFRecord around some bytes. */
function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16 + data.length), view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(bytes.subarray(0, 8)), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return bytes;
}

/** A protocol buffer in the making: fields are appended in order. */
class Message {
  readonly #bytes: number[] = [];

  #varint(value: number): void {
    for (; value >= 0x80; value = Math.floor(value / 0x80)) this.#bytes.push(value % 0x80 | 0x80);
    this.#bytes.push(value);
  }

  #fixed(field: number, wireType: number, bytes: Uint8Array): this {
    this.#varint(field << 3 | wireType);
    this.#bytes.push(...bytes);
    return this;
  }

  /** A whole number that is not negative. */
  int(field: number, value: number): this {
    this.#varint(field << 3);
    this.#varint(value);
    return this;
  }

  double(field: number, value: number): this {
    return this.#fixed(field, 1, new Uint8Array(Float64Array.of(value).buffer));
  }

  float(field: number, value: number): this {
    return this.#fixed(field, 5, new Uint8Array(Float32Array.of(value).buffer));
  }

  bytes(field: number, value: Uint8Array): this {
    this.#varint(field << 3 | 2);
    this.#varint(value.length);
    for (const byte of value) this.#bytes.push(byte);
    return this;
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  done(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/** The names of event files, with the time that they were made at. */
const EVENT_FILE = /^events\.out\.tfevents\.(\d{1,15})\./;

/** Creates a file that sorts after the ones that are there, as TensorBoard reads a folder by name. */
function createEventFile(folder: string, seconds: number): Deno.FsFile {
  const others = Array.from(Deno.readDirSync(folder), ({ name }) => EVENT_FILE.exec(name)?.[1] ?? "0");
  // The clock may have been set back.
  const time = Math.max(Math.floor(seconds), ...others.map(Number));
  for (let attempt = 0;; attempt++) {
    const name = `events.out.tfevents.${time}.stec.${String(attempt).padStart(3, "0")}`;
    try {
      return Deno.openSync(`${folder}/${name}`, { write: true, createNew: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

/**
 * Writes scalars for TensorBoard. Each writer has a file of its own, so a resumed run simply opens another
 * one in the same folder. Every event goes to the operating system at once: a write costs microseconds, and a
 * run that dies loses nothing.
 *
 * @example
 * ```ts
 * import { TensorBoardWriter } from "./tensorboard.ts";
 * using writer = new TensorBoardWriter(Deno.makeTempDirSync());
 * writer.scalars(1, { "train/loss": 4.2, "train/manip_accuracy": 0.51 });
 * ```
 */
export class TensorBoardWriter implements Disposable {
  readonly #folder: string;
  readonly #file: Deno.FsFile;
  readonly #now: () => number;

  /** Creates the folder, where it is missing, and an event file in it. */
  constructor(folder: string, options: TensorBoardOptions = {}) {
    this.#folder = folder;
    this.#now = options.now ?? Date.now;
    Deno.mkdirSync(folder, { recursive: true });
    this.#file = createEventFile(folder, this.#now() / 1000);
    this.#write(this.#event().text(3, "brain.Event:2"));
    if (options.purgeStep !== undefined) this.#purgeFrom(options.purgeStep);
  }

  /** Adds one point to each of the named curves. */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const summary = new Message();
    for (const [tag, value] of Object.entries(values)) {
      summary.bytes(1, new Message().text(1, tag).float(2, value).done());
    }
    this.#write(this.#event().int(2, step).bytes(5, summary.done()));
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file.close();
  }

  /** A session log event of status START, at which TensorBoard drops what it read from that step on. */
  #purgeFrom(step: number): void {
    this.#write(this.#event().int(2, step).bytes(7, new Message().int(1, 1).done()));
  }

  #event(): Message {
    return new Message().double(1, this.#now() / 1000);
  }

  #write(event: Message): void {
    append(this.#folder, this.#file, record(event.done()));
  }
}
