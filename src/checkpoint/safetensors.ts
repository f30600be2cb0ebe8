/**
 * The safetensors format: eight bytes with the header's length, a JSON header, the tensors' bytes without gaps.
 * https://github.com/huggingface/safetensors#format
 *
 * @module
 */

import { messageOf } from "../base/errors.ts";
import { temporaryPath, writeAtomically, writeFully } from "../files/atomic.ts";
import { ByteFile } from "../files/byte_file.ts";
import { brief } from "./brief.ts";
import {
  byteLengthOf,
  contiguousStrides,
  elementCount,
  ITEM_BYTES,
  piecesOf,
  type Storage,
  type StoredDType,
  StoredTensor,
  type TensorSource,
} from "./stored_tensor.ts";

/** The format's own names of the element types. */
const FORMAT_NAMES: Readonly<Record<StoredDType, string>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint8: "U8",
  bool: "BOOL",
};
const DTYPES: ReadonlyMap<string, StoredDType> = new Map(
  Object.entries(FORMAT_NAMES).map(([dtype, name]) => [name, dtype as StoredDType]),
);

/** The largest header that the original library reads. */
const MAX_HEADER_BYTES = 100_000_000;

/** A parsed header may take four times the file, or this much where the file is small. */
const MIN_HEADER_MEMORY = 16 << 20;

/** An open safetensors file; dispose of it when its tensors have been read. */
export interface SafetensorsFile extends Disposable {
  /** The header's `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Every tensor by name, in the header's order. The bytes are read when asked for. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Whether a file begins as safetensors do: a header's length in eight bytes, four of them always zero, and the header. */
export function isSafetensors(path: string): boolean {
  using file = new ByteFile(path);
  const head = file.read(0, Math.min(file.size, 9));
  return head[8] === "{".charCodeAt(0) && head.subarray(4, 8).every((byte) => byte === 0);
}

/** Opens a safetensors file and checks all of its header; throws one sentence on anything that does not fit. */
export function readSafetensors(path: string): SafetensorsFile {
  const file = new ByteFile(path);
  try {
    return { ...parse(file), [Symbol.dispose]: () => file[Symbol.dispose]() };
  } catch (thrown) {
    file[Symbol.dispose]();
    throw new Error(`Cannot read safetensors from ${path}: ${brief(messageOf(thrown), 500)}`, {
      cause: thrown,
    });
  }
}

function parse(file: ByteFile): Omit<SafetensorsFile, keyof Disposable> {
  const { header, dataStart } = readHeader(file);
  const tensors = new Map<string, StoredTensor>();
  let metadata: ReadonlyMap<string, string> = new Map();
  const ranges: [start: number, end: number, name: string][] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") {
      metadata = parseMetadata(value);
      continue;
    }
    const { dtype, shape, start, end } = parseEntry(name, value);
    ranges.push([start, end, name]);
    if (dataStart + end > file.size) {
      throw new RangeError(`${name} ends at byte ${dataStart + end}, the file has ${file.size}`);
    }
    const layout = { shape, strides: contiguousStrides(shape), storageOffset: 0 };
    tensors.set(
      name,
      new StoredTensor(dtype, layout, fileStorage(file, name, dataStart + start, end - start)),
    );
  }
  checkCover(ranges, file.size - dataStart);
  return { metadata, tensors };
}

function readHeader(file: ByteFile): { header: Record<string, unknown>; dataStart: number } {
  if (file.size < 8) throw new RangeError(`the header's length takes 8 bytes, the file has ${file.size}`);
  const length = Number(new DataView(file.read(0, 8).buffer).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES || 8 + length > file.size) {
    throw new RangeError(`its header would take ${length} bytes, the file has ${file.size}`);
  }
  const bytes = file.read(8, length);
  checkHeaderMemory(bytes, file.size);
  const header: unknown = JSON.parse(
    new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes),
  );
  if (!isRecord(header)) throw new TypeError("its header is not a JSON object");
  return { header, dataStart: 8 + length };
}

/** What the parts of a header may take in memory when parsed, by the character that they begin with. */
const PART_COST = new Uint16Array(256);
for (const [part, cost] of [["{", 128], ["[", 32], [",", 16], [":", 256]] as const) {
  PART_COST[part.charCodeAt(0)] = cost;
}

/** Refuses a header whose parsed form would dwarf the file, before parsing it. */
function checkHeaderMemory(header: Uint8Array, fileSize: number): void {
  let memory = 0;
  for (const byte of header) memory += PART_COST[byte];
  if (memory > Math.max(4 * fileSize, MIN_HEADER_MEMORY)) {
    throw new RangeError(`its header has more parts than a file of ${fileSize} bytes needs`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseMetadata(value: unknown): Map<string, string> {
  if (!isRecord(value)) throw new TypeError("its __metadata__ is not a JSON object");
  const metadata = new Map<string, string>();
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") throw new TypeError(`its metadata ${key} is not a string`);
    metadata.set(key, text);
  }
  return metadata;
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

interface Entry {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

function parseEntry(name: string, value: unknown): Entry {
  if (!isRecord(value)) throw new TypeError(`${name} is not described by a JSON object`);
  const { dtype: formatName, shape, data_offsets: offsets } = value;
  const dtype = typeof formatName === "string" ? DTYPES.get(formatName) : undefined;
  if (dtype === undefined) {
    const type = typeof formatName === "string" ? `the type ${JSON.stringify(formatName)}` : "no type";
    throw new TypeError(`${name} has ${type}, known are ${[...DTYPES.keys()].join(", ")}`);
  }
  if (!isCounts(shape)) throw new TypeError(`${name} has no shape of whole numbers`);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw new TypeError(`${name} has no data_offsets of a start and an end`);
  }
  const [start, end] = offsets;
  const wanted = elementCount(shape) * ITEM_BYTES[dtype];
  if (wanted !== end - start) {
    throw new RangeError(
      `${name} of type ${formatName} and shape [${shape}] takes ${wanted} bytes, it has ${end - start}`,
    );
  }
  return { dtype, shape, start, end };
}

/** The tensors must fill the data exactly: gaps could smuggle, overlaps could repeat. */
function checkCover(ranges: [start: number, end: number, name: string][], dataBytes: number): void {
  ranges.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let position = 0;
  for (const [start, end, name] of ranges) {
    if (start !== position) {
      const what = start < position ? "overlaps another tensor" : "leaves a gap";
      throw new RangeError(`${name} ${what}: it starts at ${start}, the tensor before ends at ${position}`);
    }
    position = end;
  }
  if (position !== dataBytes) {
    throw new RangeError(`its tensors take ${position} bytes, the file has ${dataBytes} for them`);
  }
}

/** The format has no checksums: there is nothing to verify. */
function fileStorage(file: ByteFile, key: string, start: number, byteLength: number): Storage {
  return {
    key,
    byteLength,
    tensorLimit: byteLength,
    readInto: (offset, target) => file.readInto(start + offset, target),
    verify: () => {},
  };
}

/**
 * Writes tensors under their names, whole or not at all (see {@linkcode writeAtomically}). The tensors of wider
 * elements come first, so that all are aligned; one tensor at a time is in memory.
 *
 * @param temporary see {@linkcode writeAtomically}
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorSource>,
  metadata: Readonly<Record<string, string>> = {},
  temporary: string = temporaryPath(path),
): void {
  const ordered = [...tensors].sort(([, a], [, b]) => ITEM_BYTES[b.dtype] - ITEM_BYTES[a.dtype]);
  const parts = Object.keys(metadata).length > 0 ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  let offset = 0;
  for (const [name, tensor] of ordered) {
    const { dtype, shape } = tensor, end = offset + byteLengthOf(tensor);
    const entry = { dtype: FORMAT_NAMES[dtype], shape, data_offsets: [offset, end] };
    parts.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    offset = end;
  }
  const header = encodeHeader(`{${parts.join(",")}}`);
  writeAtomically(path, (file) => {
    writeFully(file, header);
    for (const [name, tensor] of ordered) {
      for (const piece of piecesOf(name, tensor)) writeFully(file, piece);
    }
  }, temporary);
}

/** The header's length and the header, padded with spaces so that the data starts at a multiple of eight. */
function encodeHeader(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return header;
}
