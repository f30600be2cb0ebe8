/**
 * Breaks files at random and reads them: an error in a sentence or a right result, and nothing else, may come of it. The
 * same seed and number give the same file.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { inspectFile } from "../../src/commands/inspect.ts";
import { parseLightning } from "../../src/checkpoint/lightning.ts";
import { guessArchitecture } from "../../src/checkpoint/names.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { StoredTensor } from "../../src/checkpoint/stored_tensor.ts";
import { ZipWriter } from "../../src/zip/writer.ts";
import { readZip } from "../../src/zip/reader.ts";
import { ByteFile } from "../../src/files/byte_file.ts";
import { printable } from "../../src/base/printable.ts";
import { Random } from "../../src/base/random.ts";
import { fixture } from "./files.ts";

/** How a seed file is broken: as bytes, as the pickle in a whole archive, or as a safetensors header. */
type Kind = "zip" | "pickle" | "legacy" | "safetensors";

interface Seed {
  readonly name: string;
  readonly kind: Kind;
  readonly bytes: Uint8Array;
  /** What the whole file reads as; a broken archive, whose entries have checksums, must give the same or an error. */
  readonly digest: string;
}

/** What came of one broken file. */
export interface Outcome {
  /** The seed file and how it was broken, for messages. */
  readonly name: string;
  /** What was read: a value, or nothing but an error's message. */
  readonly result: "read" | "refused";
  /** What is wrong with that; `null` when all is well. */
  readonly fault: string | null;
  /** How long it took. */
  readonly milliseconds: number;
  /** By how much the memory in use grew, with what has not been collected yet. */
  readonly bytes: number;
}

/** No file of these sizes may take longer. */
const MAX_MILLISECONDS = 2000;
/** What a file may take in memory beside four times its size: V8's own noise and the fixed buffers. */
const MEMORY_NOISE = 48 << 20;

/** Faults of the program itself, which a careful reader never meets. */
const PROGRAM_FAULT =
  /undefined|null \(|is not a function|is not iterable|of null|Invalid array length|Invalid typed array|Maximum call|out of memory|out of bounds|not extensible|NotCapable|Array buffer allocation/i;

/** Breaks and reads files in a folder of its own. */
export class Fuzzer {
  readonly #path: string;
  readonly #seeds: readonly Seed[];
  readonly #seed: number;

  /** Reads the seed files: the fixtures, and archives with zip64 fields and unpacked pickles made of them. */
  constructor(folder: string, seed: number) {
    this.#path = `${folder}/broken`;
    this.#seed = seed;
    const zips = [
      "tensors.pt",
      "plain.pt",
      "odd.pt",
      "trained.ckpt",
      "deflated.pt",
      "written_lightning.ckpt",
    ];
    const files: [name: string, kind: Kind][] = [
      ...zips.map((name): [string, Kind] => [name, "zip"]),
      ...["tensors.pt", "plain.pt", "odd.pt", "trained.ckpt", "protocol_5.pt"].map((
        name,
      ): [string, Kind] => [name, "pickle"]),
      ["legacy_tensors.pt", "legacy"],
      ["legacy_odd.pt", "legacy"],
      ["library.safetensors", "safetensors"],
      ["written_tensors.safetensors", "safetensors"],
    ];
    this.#seeds = files.map(([name, kind]) => {
      const bytes = Deno.readFileSync(fixture(name));
      return { name, kind, bytes, digest: exercise(fixture(name)) };
    });
    const zip64 = rewriteZip(fixture("tensors.pt"), this.#path, (_, bytes) => bytes, 16);
    this.#seeds = [...this.#seeds, {
      name: "zip64",
      kind: "zip",
      bytes: zip64,
      digest: this.#seeds[0].digest,
    }];
  }

  /** Breaks a file in the way of number `run`, and reads it; again where it took long, for the machine may have. */
  run(run: number): Outcome {
    const random = new Random(this.#seed, run);
    const seed = this.#seeds[random.below(this.#seeds.length)];
    const bytes = this.#breakFile(seed, random);
    Deno.writeFileSync(this.#path, bytes);
    let outcome = this.#read(seed, bytes.length);
    if (outcome.milliseconds > MAX_MILLISECONDS) outcome = this.#read(seed, bytes.length);
    const { milliseconds } = outcome;
    if (milliseconds <= MAX_MILLISECONDS) return outcome;
    return { ...outcome, fault: outcome.fault ?? `it took ${milliseconds} ms` };
  }

  #read(seed: Seed, fileBytes: number): Outcome {
    const memory = memoryInUse(), start = performance.now();
    let fault: string | null = null, result: Outcome["result"] = "read";
    try {
      const digest = exercise(this.#path);
      if (seed.kind === "zip" && digest !== seed.digest) {
        fault = "a damaged archive was read as something else";
      }
    } catch (thrown) {
      result = "refused";
      fault = faultOf(thrown);
    }
    const milliseconds = performance.now() - start, bytes = memoryInUse() - memory;
    if (bytes > 4 * fileBytes + MEMORY_NOISE) fault ??= `it took ${bytes} bytes`;
    return { name: `${seed.kind} ${seed.name}`, result, fault, milliseconds, bytes };
  }

  #breakFile(seed: Seed, random: Random): Uint8Array {
    const other = () => this.#seeds[random.below(this.#seeds.length)].bytes;
    if (seed.kind === "pickle") {
      return rewriteZip(
        fixture(seed.name),
        this.#path,
        (name, bytes) => name.endsWith("data.pkl") ? breakBytes(bytes, random, other, PICKLE_OPCODES) : bytes,
      );
    }
    const broken = breakBytes(
      seed.bytes,
      random,
      other,
      seed.kind === "legacy" ? PICKLE_OPCODES : INTERESTING_BYTES,
    );
    if (seed.kind === "safetensors" && random.below(2) === 0) return breakHeader(seed.bytes, random, other);
    return broken;
  }
}

function memoryInUse(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

function faultOf(thrown: unknown): string | null {
  if (!(thrown instanceof Error)) return `something that is no error was thrown: ${thrown}`;
  const isPermission = thrown instanceof Deno.errors.NotCapable ||
    thrown.cause instanceof Deno.errors.NotCapable;
  if (isPermission || PROGRAM_FAULT.test(thrown.message)) return `${thrown.name}: ${thrown.message}`;
  if (thrown.message.length > 1000) return `a message of ${thrown.message.length} characters`;
  if (/\p{Cc}/u.test(printable(thrown.message)) || /[\n\t]/.test(thrown.message)) {
    return `a message of several lines or columns: ${JSON.stringify(thrown.message)}`;
  }
  return null;
}

/** Does with a file all that the program does with one. Returns a digest of what was read. */
function exercise(path: string): string {
  const lines = inspectFile(path);
  const hash = createHash("sha256");
  // The first line has the path and the size.
  hash.update(lines.slice(1).join("\n"));
  if (isSafetensors(lines[0])) {
    using file = readSafetensors(path);
    for (const tensor of file.tensors.values()) hash.update(tensor.read());
    guessArchitecture(file.tensors);
  } else {
    using file = readCheckpoint(path);
    const seen = new Set<unknown>([file.root]);
    for (const value of seen) {
      if (value instanceof StoredTensor) hash.update(value.read());
      else if (value instanceof Map || Array.isArray(value)) {
        for (const inner of value.values()) seen.add(inner);
      }
    }
    tryLightning(file.root);
  }
  return hash.digest("hex");
}

const isSafetensors = (firstLine: string) => firstLine.endsWith(": safetensors");

/** A file need not hold a Lightning checkpoint, but finding that out must not fail in another way. */
function tryLightning(root: unknown): void {
  try {
    guessArchitecture(parseLightning(root).stateDict);
  } catch (thrown) {
    if (faultOf(thrown) !== null) throw thrown;
  }
}

/** Writes an archive again with some entries changed, so that the checksums are right. */
function rewriteZip(
  from: string,
  to: string,
  change: (name: string, bytes: Uint8Array) => Uint8Array,
  zip64From?: number,
): Uint8Array {
  using source = new ByteFile(from);
  using target = Deno.openSync(to, { write: true, create: true, truncate: true });
  const zip = new ZipWriter(target, zip64From);
  for (const [name, entry] of readZip(source)) {
    const bytes = change(name, entry.read());
    zip.add(name, bytes.length, [bytes]);
  }
  zip.finish();
  return Deno.readFileSync(to);
}

const INTERESTING_BYTES: readonly number[] = [0, 1, 0x7f, 0x80, 0xff, 0x50, 0x4b, 8];
const PICKLE_OPCODES: readonly number[] = [
  ...Array.from("(.012FIJKLMNPQRSTUVXabcd}egijlo]pqrst)uhBCG", (letter) => letter.charCodeAt(0)),
  ...Array.from({ length: 0x19 }, (_, i) => 0x80 + i),
];
const INTERESTING_NUMBERS: readonly bigint[] = [
  ...[0n, 1n, 2n ** 7n, 2n ** 8n - 1n, 2n ** 15n, 2n ** 16n - 1n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n],
  ...[2n ** 32n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n],
];

/** One to eight changes of every kind, anywhere. */
function breakBytes(
  original: Uint8Array,
  random: Random,
  other: () => Uint8Array,
  favourites: readonly number[],
): Uint8Array {
  let bytes: Uint8Array = original.slice();
  for (let changes = 1 + random.below(random.below(8) + 1); changes > 0 && bytes.length > 8; changes--) {
    bytes = breakOnce(bytes, random, other, favourites);
  }
  return bytes;
}

function breakOnce(
  bytes: Uint8Array,
  random: Random,
  other: () => Uint8Array,
  favourites: readonly number[],
): Uint8Array {
  const at = random.below(bytes.length), some = 1 + random.below(Math.min(64, bytes.length - at));
  const spliced = (start: number, removed: number, added: Uint8Array) =>
    Uint8Array.from([...bytes.subarray(0, start), ...added, ...bytes.subarray(start + removed)]);
  switch (random.below(9)) {
    case 0:
      bytes[at] ^= 1 << random.below(8);
      return bytes;
    case 1:
      bytes[at] = random.below(256);
      return bytes;
    case 2:
      bytes[at] = favourites[random.below(favourites.length)];
      return bytes;
    case 3:
      return overwriteNumber(bytes, random);
    case 4:
      return bytes.slice(0, at);
    case 5:
      return spliced(at, some, new Uint8Array());
    case 6:
      return spliced(at, 0, bytes.slice(at, at + some));
    case 7: {
      const material = other(), start = random.below(material.length);
      return spliced(at, random.below(2) * some, material.subarray(start, start + some));
    }
    default:
      return spliced(
        at,
        0,
        Uint8Array.from({ length: some }, () => favourites[random.below(favourites.length)]),
      );
  }
}

/** A number of 16, 32 or 64 bits that programs tend to trip over. */
function overwriteNumber(bytes: Uint8Array, random: Random): Uint8Array {
  const width = [2, 4, 8][random.below(3)], at = random.below(Math.max(1, bytes.length - width));
  let value = INTERESTING_NUMBERS[random.below(INTERESTING_NUMBERS.length)];
  for (let i = at; i < Math.min(at + width, bytes.length); i++, value >>= 8n) {
    bytes[i] = Number(value & 0xffn);
  }
  return bytes;
}

/** Breaks the JSON of a safetensors header and lets its length be right. */
function breakHeader(original: Uint8Array, random: Random, other: () => Uint8Array): Uint8Array {
  const length = Number(new DataView(original.buffer).getBigUint64(0, true));
  const json = Array.from('{}[]",:0123456789-.eFIUB', (letter) => letter.charCodeAt(0));
  const header = breakBytes(original.subarray(8, 8 + length), random, other, json);
  const bytes = new Uint8Array(original.length - length + header.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  bytes.set(original.subarray(8 + length), 8 + header.length);
  return bytes;
}
