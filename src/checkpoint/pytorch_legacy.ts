/**
 * The form of `torch.save` before PyTorch 1.6 (`_use_new_zipfile_serialization=False`): five pickles one after
 * another (a magic number, a version, facts on the machine, the object, the storages' names), then for each
 * storage its number of elements in eight bytes and the elements.
 *
 * @module
 */

import { brief } from "./brief.ts";
import type { ByteFile } from "../files/byte_file.ts";
import { TruncatedPickleError, type UnpickleOptions } from "./pickle_machine.ts";
import { torchValues } from "./pytorch_values.ts";
import type { Storage } from "./stored_tensor.ts";
import { unpickle } from "./unpickle.ts";

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;

/** Whether a file that begins with these bytes, at least fifteen, has this form: the magic number's pickle. */
export function isLegacy(head: Uint8Array): boolean {
  const magic = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
  return magic.every((byte, i) => i === 1 || head[i] === byte);
}

/** A storage whose place is known only after the pickles. The form has no checksums. */
class LegacyStorage implements Storage {
  readonly key: string;
  readonly byteLength: number;
  readonly tensorLimit: number;
  readonly #file: ByteFile;
  start = -1;

  constructor(file: ByteFile, key: string, byteLength: number) {
    this.key = key;
    this.byteLength = byteLength;
    this.tensorLimit = Math.max(file.size, 1 << 20);
    this.#file = file;
  }

  readInto(offset: number, target: Uint8Array): void {
    this.#file.readInto(this.start + offset, target);
  }

  verify(): void {}
}

/** Reads the object. Throws one sentence where the file is damaged. */
export function readLegacy(file: ByteFile): unknown {
  const storages = new Map<string, LegacyStorage>();
  const openStorage = (key: string, byteLength: number) => {
    const storage = storages.get(key) ?? new LegacyStorage(file, key, byteLength);
    if (storage.byteLength !== byteLength) {
      throw new RangeError(`its storage ${key} has both ${storage.byteLength} and ${byteLength} bytes`);
    }
    storages.set(key, storage);
    return storage;
  };
  const pickles = new PickleSequence(file, torchValues(file.size, openStorage));
  checkPreamble(pickles.next(), pickles.next(), pickles.next());
  const root = pickles.next();
  placeStorages(file, pickles.next(), pickles.position, storages);
  return root;
}

function checkPreamble(magic: unknown, protocol: unknown, machine: unknown): void {
  if (magic !== MAGIC || protocol !== PROTOCOL) {
    throw new TypeError("it has an unknown version of the older form of torch.save");
  }
  if (machine instanceof Map && machine.get("little_endian") === false) {
    throw new TypeError("its numbers are big-endian, only little-endian ones can be read");
  }
}

/** Finds the storages, which follow in the order of the list of names. */
function placeStorages(
  file: ByteFile,
  keys: unknown,
  start: number,
  storages: ReadonlyMap<string, LegacyStorage>,
): void {
  if (!Array.isArray(keys)) throw new TypeError("it has no list of storages");
  let position = start;
  for (const key of keys) {
    const storage = storages.get(key);
    if (storage === undefined) throw new RangeError(`its storage ${brief(key)} belongs to no tensor`);
    if (storage.start >= 0) throw new RangeError(`its storage ${storage.key} is there twice`);
    // The number of elements comes first; their size is known from the pickle.
    storage.start = position + 8;
    position = storage.start + storage.byteLength;
    if (position > file.size) {
      throw new RangeError(
        `its storage ${storage.key} ends at byte ${position}, the file has ${file.size}: it is cut off`,
      );
    }
    checkCount(storage, new DataView(file.read(storage.start - 8, 8).buffer).getBigUint64(0, true));
  }
  const missing = storages.values().find((storage) => storage.start < 0);
  if (missing !== undefined) throw new RangeError(`its storage ${missing.key} is missing`);
}

function checkCount(storage: LegacyStorage, count: bigint): void {
  const isItem = [1, 2, 4, 8, 16].some((item) => count * BigInt(item) === BigInt(storage.byteLength));
  if (!isItem) {
    throw new RangeError(
      `its storage ${storage.key} has ${count} elements, the pickle says ${storage.byteLength} bytes`,
    );
  }
}

/** A first piece that holds the pickles of all but the largest checkpoints. */
const FIRST_BYTES = 1 << 20;

/** Pickles one after another at a file's beginning, whose length nothing says: more is read until they are whole. */
class PickleSequence {
  position = 0;
  readonly #file: ByteFile;
  readonly #options: UnpickleOptions;
  #bytes: Uint8Array;

  constructor(file: ByteFile, options: UnpickleOptions) {
    this.#file = file;
    this.#options = options;
    this.#bytes = file.read(0, Math.min(file.size, FIRST_BYTES));
  }

  next(): unknown {
    for (;;) {
      try {
        const { value, end } = unpickle(this.#bytes, this.#options, this.position);
        this.position = end;
        return value;
      } catch (thrown) {
        const isWhole = this.#bytes.length === this.#file.size;
        if (isWhole || !(thrown instanceof TruncatedPickleError)) throw thrown;
        this.#bytes = this.#file.read(0, Math.min(this.#file.size, 4 * this.#bytes.length));
      }
    }
  }
}
