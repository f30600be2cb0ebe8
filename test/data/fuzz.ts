/**
 * Breaks image files at random and decodes them: an error in a sentence or an image, and nothing else, may come of it. The
 * same seed and number give the same file.
 *
 * @module
 */

import { cutsOf, Decoder } from "../../src/data/decode.ts";
import { openTurboJpeg } from "../../src/data/turbojpeg.ts";
import { messageOf } from "../../src/base/errors.ts";
import { Random } from "../../src/base/random.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What came of one broken file. */
export interface Outcome {
  /** The file that was broken and how, for messages. */
  readonly name: string;
  /** Whether it was decoded or refused. */
  readonly result: "decoded" | "refused";
  /** What is wrong with that; `null` when all is well. */
  readonly fault: string | null;
  /** How long it took. */
  readonly milliseconds: number;
}

const FOLDER = new URL("../fixtures/decode/", import.meta.url);
const IMAGE = /\.(jpg|png|webp|tif|gif)$/;
/** Height and width of the crops. */
const SIZE = 16;
/** Bytes at the start of a file that are broken more often: they say how large it is and how it is packed. */
const HEAD = 64;
/** Faults of the program itself, which a careful reader never meets. */
const PROGRAM_FAULT =
  /undefined|null \(|is not a function|of null|Invalid array length|Invalid typed array|out of bounds|NotCapable|buffer allocation/;

/** Ways to break a file. */
const BREAKS: Readonly<Record<string, (bytes: Bytes, random: Random, other: Bytes) => Bytes>> = {
  cut: (bytes, random) => bytes.slice(0, random.below(bytes.length)),
  bytes: (bytes, random) => withBytes(bytes, random, 1 + random.below(8), bytes.length),
  head: (bytes, random) => withBytes(bytes, random, 1 + random.below(3), HEAD),
  large: (bytes, random) => {
    const broken = bytes.slice(), at = random.below(Math.min(bytes.length, HEAD) - 4);
    broken.fill(random.below(2) === 0 ? 0xff : 0x7f, at, at + 1 + random.below(4));
    return broken;
  },
  repeated: (bytes, random) => {
    const start = random.below(bytes.length), end = start + random.below(bytes.length - start);
    return joined(bytes.subarray(0, end), bytes.subarray(start));
  },
  removed: (bytes, random) => {
    const start = random.below(bytes.length), end = start + random.below(bytes.length - start);
    return joined(bytes.subarray(0, start), bytes.subarray(end));
  },
  spliced: (bytes, random, other) =>
    joined(bytes.subarray(0, random.below(bytes.length)), other.subarray(random.below(other.length))),
};

/** Breaks and decodes files, in turn with libjpeg-turbo and without. */
export class ImageFuzzer {
  readonly #seed: number;
  readonly #files: readonly (readonly [name: string, bytes: Bytes])[];
  readonly #decoders = [new Decoder(openTurboJpeg()), new Decoder(null)];

  /** Reads the files: the fixtures that can be decoded, and those that cannot. */
  constructor(seed: number) {
    this.#seed = seed;
    const names = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).filter((name) => IMAGE.test(name));
    this.#files = names.sort().map((name) => [name, Deno.readFileSync(new URL(name, FOLDER))] as const)
      .filter(([, bytes]) => bytes.length > HEAD);
  }

  /** Breaks a file and decodes it. */
  async run(number: number): Promise<Outcome> {
    const random = new Random(this.#seed, number),
      pick = <T>(list: readonly T[]) => list[random.below(list.length)];
    const [file, bytes] = pick(this.#files), [kind, change] = pick(Object.entries(BREAKS));
    const broken = change(bytes, random, pick(this.#files)[1]), name = `${file}, ${kind}`;
    const start = performance.now(), out = [new Uint8Array(3 * SIZE * SIZE)];
    const plan = (height: number, width: number) => cutsOf({ kind: "middle" }, 0, height, width, SIZE);
    let result: Outcome["result"] = "decoded", fault: string | null = null;
    try {
      await this.#decoders[number % this.#decoders.length].cut(broken, plan, SIZE, out);
    } catch (error) {
      const message = messageOf(error);
      result = "refused";
      if (!/^[^\n]+$/.test(message) || PROGRAM_FAULT.test(message)) fault = message;
    }
    return { name, result, fault, milliseconds: performance.now() - start };
  }
}

function withBytes(bytes: Bytes, random: Random, count: number, within: number): Bytes {
  const broken = bytes.slice();
  for (let i = 0; i < count; i++) broken[random.below(Math.min(within, bytes.length))] = random.uint32();
  return broken;
}

function joined(first: Bytes, second: Bytes): Bytes {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
