/**
 * The layout of PyTorch Lightning's checkpoints, which the reference writes, and this project with one more key for what
 * exact resuming needs.
 *
 * @module
 */

import { messageOf } from "../base/errors.ts";
import { type Picklable, PickleFloat } from "./pickle.ts";
import { brief } from "./brief.ts";
import { isStringMap } from "./pickle_values.ts";
import { StoredTensor, type TensorSource } from "./stored_tensor.ts";

/** Plain data, as JSON has it. */
export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [key: string]: Plain };

/** One optimiser's state in PyTorch's form. */
export interface OptimizerState<T extends TensorSource = TensorSource> {
  /** By the number of a parameter: its tensors and numbers by name, for instance `momentum_buffer`. */
  readonly state: ReadonlyMap<number, ReadonlyMap<string, T | number>>;
  /** The groups' settings, `lr` among them, and in `params` the numbers of their parameters. */
  readonly paramGroups: readonly { readonly [name: string]: Plain }[];
}

/** What a Lightning checkpoint holds, tensors in whatever form they are written from or read in. */
export interface LightningCheckpoint<T extends TensorSource = TensorSource> {
  /** `epoch`: the epoch during which it was written, from 0. */
  readonly epoch: number;
  /** `global_step`: the number of optimiser steps done. */
  readonly globalStep: number;
  /** `state_dict`: parameters and buffers by the reference's names. */
  readonly stateDict: ReadonlyMap<string, T>;
  /** `hyper_parameters`: the settings by the flags' names. What is no plain data is left out on reading. */
  readonly hyperParameters: { readonly [name: string]: Plain };
  /**
   * `optimizer_states`: one entry for each optimiser. Several are written, and were by the reference for LARS with its
   * three groups, as one list of states: Lightning knows a single optimiser.
   */
  readonly optimizerStates: readonly OptimizerState<T>[];
  /** `lr_schedulers`: each schedule's state, `last_epoch` (steps done) among it. */
  readonly lrSchedulers: readonly { readonly [name: string]: Plain }[];
  /** `native_amp_scaling_state`: the gradient scaler's state in float16; left out where there is none. */
  readonly scaler?: { readonly [name: string]: Plain };
  /** `callbacks`: state by callback, the best score of `ModelCheckpoint` among it. */
  readonly callbacks: { readonly [name: string]: Plain };
  /** `stec`: what this project adds; `null` in files of others. */
  readonly stec: { readonly [name: string]: Plain } | null;
}

/** The version whose layout this is; Lightning converts files of older versions by it. */
const LAYOUT_VERSION = "1.5.9";

/** The tree that {@linkcode writeCheckpoint} writes. Settings that are floats to PyTorch are written as such. */
export function lightningTree(checkpoint: LightningCheckpoint): Picklable {
  const states = checkpoint.optimizerStates.map(({ state, paramGroups }) => ({
    state,
    param_groups: paramGroups.map(withFloats),
  }));
  return {
    epoch: checkpoint.epoch,
    global_step: checkpoint.globalStep,
    "pytorch-lightning_version": LAYOUT_VERSION,
    state_dict: checkpoint.stateDict,
    callbacks: checkpoint.callbacks,
    optimizer_states: states.length > 1 ? [states] : states,
    lr_schedulers: checkpoint.lrSchedulers,
    ...(checkpoint.scaler === undefined ? {} : { native_amp_scaling_state: withFloats(checkpoint.scaler) }),
    hparams_name: "kwargs",
    hyper_parameters: checkpoint.hyperParameters,
    ...(checkpoint.stec === null ? {} : { stec: checkpoint.stec }),
  };
}

/** Settings of optimisers and scalers that PyTorch computes with as floats. */
const FLOATS: ReadonlySet<string> = new Set([
  ..."lr initial_lr momentum weight_decay eps trust_coefficient scale growth_factor backoff_factor".split(
    " ",
  ),
]);

function withFloats(group: { readonly [name: string]: Plain }): { readonly [name: string]: Picklable } {
  return Object.fromEntries(
    Object.entries(group).map((
      [name, value],
    ) => [name, FLOATS.has(name) && typeof value === "number" ? new PickleFloat(value) : value]),
  );
}

/**
 * Takes a Lightning checkpoint, or a bare state dict (which then is at epoch 0 and has no settings), out of what
 * {@linkcode readCheckpoint} read. Throws a `TypeError` that says what is missing.
 *
 * @param path the file's, for messages
 */
export function parseLightning(root: unknown, path = "the file"): LightningCheckpoint<StoredTensor> {
  return explained(path, () => parse(root));
}

/** A bare state dict, in any form, as a checkpoint at epoch 0. Throws as {@linkcode parseLightning}. */
export function bareCheckpoint(
  tensors: ReadonlyMap<string, StoredTensor>,
  path: string,
): LightningCheckpoint<StoredTensor> {
  return explained(path, () => ({ ...EMPTY, stateDict: tensorsOf(tensors, "it") }));
}

function explained<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw new TypeError(`Cannot find what a checkpoint has in ${path}: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

function parse(root: unknown): LightningCheckpoint<StoredTensor> {
  if (!isStringMap(root)) throw new TypeError("it holds no dict of names");
  const key = root.has("state_dict") ? "state_dict" : root.get("model") instanceof Map ? "model" : undefined;
  if (key === undefined) return { ...EMPTY, stateDict: tensorsOf(root, "it") };
  const records = new Records();
  return {
    epoch: countOf(root, "epoch"),
    globalStep: countOf(root, "global_step"),
    stateDict: tensorsOf(root.get(key), key),
    hyperParameters: records.recordOf(root.get("hyper_parameters")),
    optimizerStates: optimizersIn(root.get("optimizer_states")).map((each) => records.optimizerOf(each)),
    lrSchedulers: listOf(root.get("lr_schedulers")).map((each) => records.recordOf(each)),
    ...(root.has("native_amp_scaling_state") && {
      scaler: records.recordOf(root.get("native_amp_scaling_state")),
    }),
    callbacks: records.recordOf(root.get("callbacks")),
    stec: root.has("stec") ? records.recordOf(root.get("stec")) : null,
  };
}

const EMPTY = {
  epoch: 0,
  globalStep: 0,
  hyperParameters: {},
  optimizerStates: [],
  lrSchedulers: [],
  callbacks: {},
  stec: null,
} as const;

function tensorsOf(value: unknown, where: string): Map<string, StoredTensor> {
  if (!isStringMap(value)) throw new TypeError(`${where} is no dict of names`);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of value) {
    if (!(tensor instanceof StoredTensor)) {
      throw new TypeError(`${brief(name)} in ${where} is no tensor that can be read`);
    }
    tensors.set(name, tensor);
  }
  if (tensors.size === 0) throw new TypeError(`${where} is an empty dict`);
  return tensors;
}

function countOf(root: ReadonlyMap<string, unknown>, key: string): number {
  const value = root.get(key) ?? 0;
  if (!isCount(value)) throw new TypeError(`its ${key} is ${brief(value)}, not a whole number`);
  return value;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** No model has more; a hostile file may name the same one over and over. */
const MAX_OPTIMIZERS = 100;

function optimizersIn(value: unknown): unknown[] {
  const lists = listOf(value).map((each) => Array.isArray(each) ? each : [each]);
  const count = lists.reduce((sum, { length }) => sum + length, 0);
  if (count > MAX_OPTIMIZERS) {
    throw new TypeError(`it has ${count} optimizers, at most ${MAX_OPTIMIZERS} are read`);
  }
  return lists.flat();
}

/** Converts the dicts of a file, each once: where they share parts, going through them anew each time might never end. */
class Records {
  readonly #plain: Conversions = new Map();
  readonly #values = new Map<unknown, ReadonlyMap<string, StoredTensor | number>>();

  /** A dict as plain data; an empty record for anything else. */
  recordOf(value: unknown): { readonly [name: string]: Plain } {
    return value instanceof Map ? convert(value, this.#plain, 0) as { readonly [name: string]: Plain } : {};
  }

  /** What a file keeps for one optimizer. */
  optimizerOf(value: unknown): OptimizerState<StoredTensor> {
    const fields = value instanceof Map ? value : new Map();
    const state = new Map<number, ReadonlyMap<string, StoredTensor | number>>();
    const perParameter: unknown = fields.get("state");
    for (const [key, values] of perParameter instanceof Map ? perParameter : []) {
      if (!isCount(key)) {
        throw new TypeError(`an optimizer's state has the key ${brief(key)}, not the number of a parameter`);
      }
      state.set(key, this.#valuesOf(values));
    }
    return { state, paramGroups: listOf(fields.get("param_groups")).map((each) => this.recordOf(each)) };
  }

  #valuesOf(value: unknown): ReadonlyMap<string, StoredTensor | number> {
    const known = this.#values.get(value);
    if (known !== undefined) return known;
    if (!isStringMap(value)) throw new TypeError("an optimizer's state of a parameter is no dict of names");
    const isKept = (entry: [string, unknown]): entry is [string, StoredTensor | number] =>
      entry[1] instanceof StoredTensor || typeof entry[1] === "number";
    const values = new Map([...value].filter(isKept));
    this.#values.set(value, values);
    return values;
  }
}

/** A deeper tree is no settings. */
const MAX_DEPTH = 100;

/**
 * Plain data as plain objects and arrays. What is none (tensors, inert records, bytes, integers that are no safe ones) is
 * left out. What occurs twice is converted once; a `TypeError` where something contains itself.
 */
export function plainOf(value: unknown): Plain | undefined {
  return convert(value, new Map(), 0);
}

/** What became of each value so far. */
type Conversions = Map<unknown, Plain | "unfinished">;

function convert(value: unknown, done: Conversions, depth: number): Plain | undefined {
  if (
    value === null || typeof value === "boolean" || typeof value === "number" || typeof value === "string"
  ) {
    return value;
  }
  if (!(value instanceof Map || Array.isArray(value))) return undefined;
  const known = done.get(value);
  if (known === "unfinished" || depth > MAX_DEPTH) {
    throw new TypeError("its settings contain themselves or are too deep");
  }
  if (known !== undefined) return known;
  done.set(value, "unfinished");
  const convertInner = (inner: unknown) => convert(inner, done, depth + 1);
  const plain: Plain = Array.isArray(value)
    ? value.map(convertInner).filter((item) => item !== undefined)
    : Object.fromEntries(
      [...value].map(([key, inner]) => [keyOf(key), convertInner(inner)]).filter(([, inner]) =>
        inner !== undefined
      ),
    );
  done.set(value, plain);
  return plain;
}

function keyOf(key: unknown): string {
  return typeof key === "string" || typeof key === "number" || typeof key === "boolean"
    ? String(key)
    : typeof key;
}
