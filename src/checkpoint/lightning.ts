/**
 * The layout of PyTorch Lightning's checkpoints, which the reference writes, and this project with one more key for what
 * exact resuming needs.
 *
 * @module
 */

import { messageOf } from "../errors.ts";
import { type Picklable, PickleFloat } from "./pickle.ts";
import { printable } from "./printable.ts";
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
  try {
    return parse(root);
  } catch (thrown) {
    throw new TypeError(`Cannot find what a checkpoint has in ${path}: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

function parse(root: unknown): LightningCheckpoint<StoredTensor> {
  if (!isStringMap(root)) throw new TypeError("it holds no dict of names");
  if (!root.has("state_dict")) return { ...EMPTY, stateDict: tensorsOf(root, "it") };
  return {
    epoch: countOf(root, "epoch"),
    globalStep: countOf(root, "global_step"),
    stateDict: tensorsOf(root.get("state_dict"), "state_dict"),
    hyperParameters: recordOf(root.get("hyper_parameters")),
    optimizerStates: listOf(root.get("optimizer_states")).flat().map(parseOptimizer),
    lrSchedulers: listOf(root.get("lr_schedulers")).map(recordOf),
    ...(root.has("native_amp_scaling_state") && { scaler: recordOf(root.get("native_amp_scaling_state")) }),
    callbacks: recordOf(root.get("callbacks")),
    stec: root.has("stec") ? recordOf(root.get("stec")) : null,
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
      throw new TypeError(`${printable(name)} in ${where} is no tensor that can be read`);
    }
    tensors.set(name, tensor);
  }
  if (tensors.size === 0) throw new TypeError(`${where} is an empty dict`);
  return tensors;
}

function countOf(root: ReadonlyMap<string, unknown>, key: string): number {
  const value = root.get(key) ?? 0;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new TypeError(`its ${key} is not a whole number`);
  }
  return value;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function parseOptimizer(value: unknown): OptimizerState<StoredTensor> {
  const fields = value instanceof Map ? value : new Map();
  const state = new Map<number, Map<string, StoredTensor | number>>();
  const perParameter: unknown = fields.get("state");
  for (const [key, values] of perParameter instanceof Map ? perParameter : []) {
    if (typeof key !== "number" || !isStringMap(values)) {
      throw new TypeError("an optimiser's state is not kept by the numbers of its parameters");
    }
    const isKept = (entry: [string, unknown]): entry is [string, StoredTensor | number] =>
      entry[1] instanceof StoredTensor || typeof entry[1] === "number";
    state.set(key, new Map([...values].filter(isKept)));
  }
  return { state, paramGroups: listOf(fields.get("param_groups")).map(recordOf) };
}

function recordOf(value: unknown): { readonly [name: string]: Plain } {
  return value instanceof Map ? plainOf(value) as { readonly [name: string]: Plain } : {};
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

function convert(value: unknown, done: Map<unknown, Plain | "unfinished">, depth: number): Plain | undefined {
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
