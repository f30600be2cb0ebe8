/**
 * Reads what `torch.save` writes, Lightning's checkpoints among it: a zip archive of a pickle and raw storages. The older
 * form without zip is {@linkcode readLegacy}'s business.
 *
 * @module
 */

import { messageOf } from "../base/errors.ts";
import { ByteFile } from "../files/byte_file.ts";
import { brief } from "./brief.ts";
import { isLegacy, readLegacy } from "./pytorch_legacy.ts";
import { torchValues } from "./pytorch_values.ts";
import { unpickle } from "./unpickle.ts";
import { readZip, type ZipEntry } from "../zip/reader.ts";

/** The archive's entry of metadata, in the folder that PyTorch keeps for users' own files. */
export const METADATA_ENTRY = "extra/metadata.json";

/** An open file of `torch.save`; dispose of it when its tensors have been read. */
export interface PyTorchFile extends Disposable {
  /** What was saved: plain data, {@linkcode StoredTensor}s and inert records, see {@linkcode PickleObject}. */
  readonly root: unknown;
  /** What stands beside the tree in files of {@linkcode writeCheckpoint}; empty where there is nothing. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Which of the two forms it has. */
  readonly form: "zip" | "legacy";
  /** The file's length. */
  readonly byteLength: number;
  /** Reads every byte and compares all checksums, which the older form has none of; throws where one differs. */
  verify(): void;
}

/** What the two forms are read differently. */
type Contents = Pick<PyTorchFile, "root" | "metadata" | "verify">;

/**
 * Opens a checkpoint: its structure is read at once, its tensors' bytes when asked for. Throws one sentence
 * where it is damaged, not a checkpoint, or one that asks for code to be run.
 */
export function readCheckpoint(path: string): PyTorchFile {
  const file = new ByteFile(path);
  try {
    const form = formOf(file);
    const contents = form === "zip" ? readZipForm(file) : readLegacyForm(file);
    return { ...contents, form, byteLength: file.size, [Symbol.dispose]: () => file[Symbol.dispose]() };
  } catch (thrown) {
    file[Symbol.dispose]();
    // What reads archives has named the file already.
    const why = brief(messageOf(thrown), 500), named = `Cannot read ${path}`;
    const rest = why.startsWith(named) ? why.slice(named.length) : `: ${why}`;
    throw new Error(`Cannot read the checkpoint ${path}${rest}`, { cause: thrown });
  }
}

function formOf(file: ByteFile): PyTorchFile["form"] {
  if (file.size === 0) throw new RangeError("the file is empty");
  const head = file.read(0, Math.min(file.size, 64));
  if (head[0] === 0x50 && head[1] === 0x4b) return "zip";
  if (isLegacy(head)) return "legacy";
  throw new TypeError("it is neither a zip archive nor the older form of torch.save, so no PyTorch file");
}

function readLegacyForm(file: ByteFile): Contents {
  return { root: readLegacy(file), metadata: new Map(), verify: () => {} };
}

function readZipForm(file: ByteFile): Contents {
  const entries = readZip(file);
  const prefix = findPrefix(entries);
  checkByteOrder(entries.get(`${prefix}byteorder`));
  const openStorage = (key: string, byteLength: number) => {
    const entry = entries.get(`${prefix}data/${key}`);
    if (entry === undefined) throw new RangeError(`its storage data/${key} is missing`);
    if (entry.byteLength !== byteLength) {
      throw new RangeError(
        `its storage data/${key} has ${entry.byteLength} bytes, the pickle says ${byteLength}`,
      );
    }
    return entry;
  };
  const pickle = entries.get(`${prefix}data.pkl`)!.read();
  const root = unpickle(pickle, torchValues(file.size, openStorage)).value;
  const verify = () => entries.forEach((entry) => entry.verify());
  return { root, metadata: readMetadata(entries.get(prefix + METADATA_ENTRY)), verify };
}

/** Only what {@linkcode writeCheckpoint} writes: an object of strings, of moderate length. */
function readMetadata(entry: ZipEntry | undefined): Map<string, string> {
  if (entry === undefined || entry.byteLength > 1 << 16) return new Map();
  const parsed: unknown = JSON.parse(new TextDecoder().decode(entry.read()));
  if (typeof parsed !== "object" || parsed === null) {
    throw new TypeError(`its ${METADATA_ENTRY} is no JSON object`);
  }
  return new Map(Object.entries(parsed).map(([key, value]) => [key, String(value)]));
}

/** All entries are in one folder of any name; `data.pkl` in it is the pickle. */
function findPrefix(entries: ReadonlyMap<string, ZipEntry>): string {
  const pickles = [...entries.keys()].filter((name) => /^[^/]*\/data\.pkl$/.test(name));
  if (pickles.length !== 1) {
    throw new TypeError(
      `it is a zip archive with ${pickles.length || "no"} data.pkl, so torch.save has not made it`,
    );
  }
  const prefix = pickles[0].slice(0, -"data.pkl".length);
  if (entries.has(`${prefix}constants.pkl`)) {
    throw new TypeError("it is a TorchScript program, not a checkpoint");
  }
  return prefix;
}

/** PyTorch before 2.1 did not note the byte order; it wrote the machine's own. */
function checkByteOrder(entry: ZipEntry | undefined): void {
  if (entry === undefined) return;
  const order = entry.byteLength <= 16 ? new TextDecoder().decode(entry.read()).trim() : "unknown";
  if (order !== "little") {
    throw new TypeError(`its numbers are ${order}-endian, only little-endian ones can be read`);
  }
}
