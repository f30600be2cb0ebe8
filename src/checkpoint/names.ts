/**
 * Compares the names and shapes that a file has with those that a model wants, and says in which way they differ and
 * what the file seems to be instead.
 *
 * @module
 */

import { type Architecture, ARCHITECTURES, LAYOUTS } from "../nn/architectures.ts";
import { brief } from "./brief.ts";
import { findEncoder, outerPrefix } from "./encoder_names.ts";

/** Anything with a shape: tensors, and what files say of tensors. */
export interface Shaped {
  /** The size of every dimension. */
  readonly shape: readonly number[];
}

/** How the names and shapes of a file differ from the wanted ones. */
export interface Difference {
  /** Wanted, but not there. */
  readonly missing: readonly string[];
  /** There, but not wanted. */
  readonly unexpected: readonly string[];
  /** Wanted and there, in another shape: each with both. */
  readonly reshaped: readonly { readonly name: string; readonly found: string; readonly wanted: string }[];
}

/**
 * Compares what a file has with what a model wants. BatchNorm's counter may be missing: PyTorch before 0.4.1 wrote none,
 * and it then counts as 0.
 */
export function compareNames(
  found: ReadonlyMap<string, Shaped>,
  wanted: ReadonlyMap<string, Shaped>,
): Difference {
  const missing: string[] = [], reshaped: { name: string; found: string; wanted: string }[] = [];
  for (const [name, { shape }] of wanted) {
    const candidate = found.get(name);
    if (candidate === undefined) {
      if (!isCounter(name)) missing.push(name);
    } else if (String(candidate.shape) !== String(shape)) {
      reshaped.push({ name, found: shapeText(candidate.shape), wanted: shapeText(shape) });
    }
  }
  return { missing, unexpected: [...found.keys()].filter((name) => !wanted.has(name)), reshaped };
}

/** Whether a name is that of BatchNorm's number of batches. */
function isCounter(name: string): boolean {
  return name.endsWith(".num_batches_tracked");
}

/**
 * Throws a `TypeError` unless the file has just the wanted names, each in the wanted shape. Its message has a line for each
 * way in which they differ, with the first few names, and ends with what the file seems to be.
 */
export function checkNames(
  path: string,
  found: ReadonlyMap<string, Shaped>,
  wanted: ReadonlyMap<string, Shaped>,
): void {
  const { missing, unexpected, reshaped } = compareNames(found, wanted);
  if (missing.length + unexpected.length + reshaped.length === 0) return;
  const shapes = reshaped.map(({ name, found, wanted }) => `${name} is ${found}, wanted ${wanted}`);
  const lines = [
    `Cannot load ${path} into this model:`,
    ...line("missing", missing),
    ...line("unexpected", unexpected),
    ...line("of another shape", shapes),
    `  the file seems to be ${describeArchitecture(guessArchitecture(found))}`,
    `  the model is ${describeArchitecture(guessArchitecture(wanted))}`,
  ];
  throw new TypeError(lines.join("\n"));
}

const SHOWN = 5;

function line(what: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const more = items.length > SHOWN ? `, and ${items.length - SHOWN} more` : "";
  const shown = items.slice(0, SHOWN).map((item) => brief(item)).join(", ");
  return [`  ${what} (${items.length}): ${shown}${more}`];
}

function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

/** What a state dict's names and shapes tell of the model that wrote it; `null` where it has no such part. */
export interface GuessedArchitecture {
  /** What stands before the encoder's names, for instance `encoder.`. */
  readonly prefix: string;
  /** The encoder by its blocks, for instance `resnet18`; `null` for no ResNet that is known here. */
  readonly arch: Architecture | null;
  /** Blocks in each stage. */
  readonly blocks: readonly number[];
  /** The side of the first convolution's kernel: 3 for small images, 7 for large ones. */
  readonly stem: number | null;
  /** Channels of the first stage. */
  readonly width: number | null;
  /** The width of the features. */
  readonly featureWidth: number | null;
  /** The classes of the supervised head. */
  readonly classes: number | null;
  /** The projection's hidden and output widths. */
  readonly hiddenMlp: number | null;
  /** See {@linkcode GuessedArchitecture.hiddenMlp}. */
  readonly featDim: number | null;
  /** The hidden widths of the manipulation head, and its number of outputs. */
  readonly manipHidden: readonly number[] | null;
  /** Bins per entry of the matrix. */
  readonly bins: number | null;
}

/** Guesses the architecture of a state dict from its names and shapes. */
export function guessArchitecture(state: ReadonlyMap<string, Shaped>): GuessedArchitecture {
  const { prefix: chosen, candidates } = findEncoder(state.keys()), prefix = chosen ?? candidates[0] ?? "";
  const dimension = (name: string, d: number): number | null => state.get(name)?.shape[d] ?? null;
  const blocks = countBlocks(state, prefix);
  const isBottleneck = state.has(`${prefix}layer1.0.conv3.weight`);
  const last = `${prefix}layer${blocks.length}.${(blocks.at(-1) ?? 0) - 1}.conv${
    isBottleneck ? 3 : 2
  }.weight`;
  const outer = outerPrefix(prefix);
  const manipulation = `${outer}binned_prediction_model.model.`;
  const outputs = dimension(`${manipulation}linear_final.weight`, 0);
  return {
    prefix,
    arch:
      ARCHITECTURES.find((name) =>
        LAYOUTS[name].bottleneck === isBottleneck && String(LAYOUTS[name].blocks) === String(blocks)
      ) ?? null,
    blocks,
    stem: dimension(`${prefix}conv1.weight`, 2),
    width: dimension(`${prefix}conv1.weight`, 0),
    featureWidth: blocks.length > 0 ? dimension(last, 0) : null,
    classes: dimension(`${outer}supervised_head.linear_layer.weight`, 0),
    hiddenMlp: dimension(`${outer}projection.model.hidden.weight`, 0),
    featDim: dimension(`${outer}projection.model.output.weight`, 0),
    manipHidden: outputs === null ? null : hiddenWidths(state, manipulation),
    // Two rows of three entries, each with a number of bins.
    bins: outputs === null ? null : outputs / 6,
  };
}

function countBlocks(state: ReadonlyMap<string, Shaped>, prefix: string): number[] {
  const present = new Set<string>(), blocks: number[] = [];
  for (const name of state.keys()) {
    const block = name.startsWith(prefix) && /^layer\d+\.\d+(?=\.)/.exec(name.slice(prefix.length));
    if (block) present.add(block[0]);
  }
  for (let stage = 1; present.has(`layer${stage}.0`); stage++) {
    let count = 0;
    while (present.has(`layer${stage}.${count}`)) count++;
    blocks.push(count);
  }
  return blocks;
}

function hiddenWidths(state: ReadonlyMap<string, Shaped>, prefix: string): number[] {
  const widths: number[] = [];
  for (let i = 0;; i++) {
    const weight = state.get(`${prefix}linear_${i}.weight`);
    if (weight === undefined) return widths;
    widths.push(weight.shape[0]);
  }
}

/** The guess in words, with the flags that would make such a model. */
export function describeArchitecture(guess: GuessedArchitecture): string {
  const { arch, stem, width, classes, hiddenMlp, featDim, manipHidden, bins, prefix } = guess;
  if (arch === null) return "no ResNet that is known here";
  const parts: string[] = [arch];
  if (stem !== null) parts.push(`a ${stem}x${stem} first convolution`);
  if (width !== null && width !== 64) parts.push(`--width ${width}`);
  if (classes !== null) parts.push(`${classes} classes`);
  if (hiddenMlp !== null) parts.push(`--hidden_mlp ${hiddenMlp}`);
  if (featDim !== null) parts.push(`--feat_dim ${featDim}`);
  if (manipHidden !== null) parts.push(`--manip_hidden_mlp ${manipHidden.join(",") || "0"}`);
  if (bins !== null && bins !== 6) parts.push(`--n_bins ${bins}`);
  if (prefix !== "encoder.") {
    parts.push(prefix === "" ? "the encoder alone" : `names that begin with ${brief(prefix)}`);
  }
  return parts.join(", ");
}
