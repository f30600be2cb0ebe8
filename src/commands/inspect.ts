/**
 * Shows what is in a checkpoint or a safetensors file, without reading the weights.
 *
 * @module
 */

import { findEncoder } from "../checkpoint/encoder_names.ts";
import { describeArchitecture, guessArchitecture } from "../checkpoint/names.ts";
import { PickleGlobal, PickleObject } from "../checkpoint/pickle_values.ts";
import { brief } from "../checkpoint/brief.ts";
import { readCheckpoint } from "../checkpoint/pytorch.ts";
import { StorageReference } from "../checkpoint/pytorch_values.ts";
import { isSafetensors, readSafetensors } from "../checkpoint/safetensors.ts";
import { elementCount, StoredTensor } from "../checkpoint/stored_tensor.ts";

/** What is printed at most of hostile files, whose parts may contain themselves. */
const MAX_LINES = 20_000, MAX_DEPTH = 20;

/** The contents of a file as lines of text: a tree of names with types, shapes, sizes and settings. */
export function inspectFile(path: string): string[] {
  return isSafetensors(path) ? inspectSafetensors(path) : inspectCheckpoint(path);
}

function inspectCheckpoint(path: string): string[] {
  using file = readCheckpoint(path);
  const { root } = file;
  const form = file.form === "zip" ? "a PyTorch file" : "a PyTorch file of the older form";
  const state = root instanceof Map && root.get("state_dict") instanceof Map ? root.get("state_dict") : root;
  return [
    `${path}: ${form}, ${byteText(file.byteLength)}`,
    ...overview(root, state),
    ...metadataLines(file.metadata),
    ...treeLines(root),
  ];
}

function inspectSafetensors(path: string): string[] {
  using file = readSafetensors(path);
  return [
    `${path}: safetensors`,
    ...overview(file.tensors, file.tensors),
    ...metadataLines(file.metadata),
    ...treeLines(file.tensors),
  ];
}

/** How many tensors there are, and what model they seem to be of. */
function overview(root: unknown, state: unknown): string[] {
  const tensors = collectTensors(root);
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  const numbers = tensors.reduce((sum, tensor) => sum + elementCount(tensor.shape), 0);
  const lines = [
    `${countText(tensors.length, "tensor")}, ${countText(numbers, "number")}, ${byteText(bytes)}`,
  ];
  if (state instanceof Map) {
    const named = [...state].filter((pair): pair is [string, StoredTensor] =>
      typeof pair[0] === "string" && pair[1] instanceof StoredTensor
    );
    const guess = guessArchitecture(new Map(named));
    if (guess.arch !== null) lines.push(`seems to be ${describeArchitecture(guess)}`);
    const { candidates } = findEncoder(state.keys().filter((name) => typeof name === "string"));
    if (candidates.length > 1) {
      lines.push(`${candidates.length} encoders, below ${brief(candidates.join(" "))}`);
    }
  }
  return lines;
}

function countText(count: number, what: string): string {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

/** All tensors of a tree, each once. */
function collectTensors(root: unknown): StoredTensor[] {
  const seen = new Set<unknown>([root]), tensors: StoredTensor[] = [];
  // A set can grow while it is gone through: the new members follow.
  for (const value of seen) {
    if (value instanceof StoredTensor) tensors.push(value);
    for (const [, child] of childrenOf(value)) {
      if (typeof child === "object" && child !== null) seen.add(child);
    }
  }
  return tensors;
}

function metadataLines(metadata: ReadonlyMap<string, string>): string[] {
  const lines = [...metadata.entries().take(MAX_LINES)].map(([key, text]) =>
    `  ${brief(key)}: ${brief(text, 1000)}`
  );
  return lines.length > 0 ? ["metadata:", ...lines] : [];
}

function treeLines(root: unknown): string[] {
  const lines: string[] = [];
  addChildren(root, 0, lines);
  if (lines.length > MAX_LINES) lines.splice(MAX_LINES, Infinity, "... and more");
  return lines.length > 0 ? lines : [summary(root)];
}

function addChildren(value: unknown, depth: number, lines: string[]): void {
  const width = tensorNameWidth(value);
  for (const [key, child] of childrenOf(value)) {
    if (lines.length > MAX_LINES) return;
    const name = child instanceof StoredTensor ? key.padEnd(width) : `${key}:`;
    lines.push(`${"  ".repeat(depth)}${name} ${summary(child)}`);
    if (depth < MAX_DEPTH && !isShort(child)) addChildren(child, depth + 1, lines);
  }
}

/** So wide that the types of tensors in one dict stand below each other, unless a name is very long. */
function tensorNameWidth(value: unknown): number {
  let width = 0;
  if (!(value instanceof Map)) return width;
  for (const [key, child] of value) {
    if (child instanceof StoredTensor) width = Math.max(width, keyText(key).length);
  }
  return Math.min(width, 60);
}

/** The parts of a value with their names. */
function* childrenOf(value: unknown): Generator<[name: string, child: unknown]> {
  if (value instanceof Map) {
    for (const [key, child] of value) yield [keyText(key), child];
  } else if (value instanceof Set || Array.isArray(value)) {
    let i = 0;
    for (const child of value) yield [String(i++), child];
  } else if (value instanceof PickleObject) {
    for (const [i, child] of value.args.entries()) yield [`argument ${i}`, child];
    if (value.state instanceof Map) yield* childrenOf(value.state);
    else if (value.state !== null) yield ["state", value.state];
    yield* childrenOf(value.items);
    yield* childrenOf(value.entries);
  }
}

/** A list of so many plain values stands on one line. */
const SHORT_LIST = 100;

function isShort(value: unknown): boolean {
  return Array.isArray(value) && value.length <= SHORT_LIST && value.every(isScalar);
}

function isScalar(value: unknown): boolean {
  return value === null || typeof value !== "object";
}

/** A value on one line; of those with parts what they are. */
function summary(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "string") return brief(JSON.stringify(value));
  if (value instanceof StoredTensor) return tensorText(value);
  if (value instanceof StorageReference) return `storage of ${byteText(value.storage.byteLength)}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof PickleGlobal) return `<${brief(value.path)}>`;
  if (value instanceof PickleObject) {
    return `<object of ${brief(`${value.module}.${value.name}`)}, not loaded>`;
  }
  if (value instanceof Map) return `dict of ${value.size}`;
  if (value instanceof Set) return `set of ${value.size}`;
  if (Array.isArray(value)) {
    const [open, close] = Object.isFrozen(value) ? "()" : "[]";
    if (isShort(value)) return brief(`${open}${value.map(summary).join(", ")}${close}`);
    return `${Object.isFrozen(value) ? "tuple" : "list"} of ${value.length}`;
  }
  if (typeof value === "boolean") return value ? "True" : "False";
  return brief(String(value));
}

function tensorText(tensor: StoredTensor): string {
  const strides = tensor.isContiguous ? "" : ` strides [${tensor.strides.join(", ")}]`;
  return `${tensor.dtype} [${tensor.shape.join(", ")}]${strides} ${byteText(tensor.byteLength)}`;
}

function keyText(key: unknown): string {
  return typeof key === "string" ? brief(key) : summary(key);
}

/** A number of bytes in the unit that suits it. */
export function byteText(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0, size = bytes;
  for (; size >= 1000 && unit < units.length - 1; unit++) size /= 1000;
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}
