/**
 * Finds the encoder of a state dict, whoever wrote it, and refuses what is no ResNet of this program.
 *
 * @module
 */

import { type Architecture, encoderShapes } from "../nn/architectures.ts";
import { brief } from "./brief.ts";
import { findEncoder, ownNames } from "./encoder_names.ts";
import {
  compareNames,
  describeArchitecture,
  type Difference,
  guessArchitecture,
  type Shaped,
} from "./names.ts";

/** The encoder of a file. */
export interface FoundEncoder<T> {
  /** Which ResNet it is. */
  readonly arch: Architecture;
  /** Channels of the first stage. */
  readonly width: number;
  /** Whether the first convolution is the 7x7 one of stride 2. */
  readonly firstConv: boolean;
  /** The whole state dict under this program's names, see {@linkcode ownNames}. */
  readonly state: ReadonlyMap<string, T>;
  /** Which encoder was chosen, in a sentence; null where it has this program's name and is the only one. */
  readonly note: string | null;
}

/**
 * Finds the encoder of a state dict.
 *
 * @param path the file's, for messages
 * @throws {TypeError} if there is none, if there are several and none is preferred, or if it has other layers than the
 * ResNets of this program: one sentence that names them
 */
export function encoderIn<T extends Shaped>(
  path: string,
  stateDict: ReadonlyMap<string, T>,
): FoundEncoder<T> {
  const { prefix, candidates } = findEncoder(stateDict.keys());
  if (prefix === null && candidates.length > 0) {
    throw new TypeError(
      `Cannot tell which encoder of ${path} is meant, it has ${candidates.length}: ${
        listed(candidates.map(named))
      }`,
    );
  }
  const state = ownNames(stateDict, prefix ?? ""), guess = guessArchitecture(state);
  const { arch } = guess, width = guess.width ?? state.get("encoder.layer1.0.conv1.weight")?.shape[1];
  if (arch === null || width === undefined) {
    throw new TypeError(`Cannot load ${path}: it seems to be ${describeArchitecture(guess)}`);
  }
  const firstConv = guess.stem !== 3;
  checkLayers(path, arch, state, encoderShapes(arch, { width, firstConv }));
  return { arch, width, firstConv, state, note: choiceText(path, prefix ?? "", candidates) };
}

function choiceText(path: string, prefix: string, candidates: readonly string[]): string | null {
  if (prefix === "encoder." && candidates.length === 1) return null;
  const others = candidates.filter((each) => each !== prefix).map(named);
  const unused = others.length === 0 ? "" : `; not used: ${listed(others)}`;
  return `The encoder of ${path} is ${named(prefix)}${unused}`;
}

function named(prefix: string): string {
  return prefix === "" ? "the one without a prefix" : brief(prefix.slice(0, -1));
}

/** Refuses an encoder that would compute something else here than where it was trained. */
function checkLayers(
  path: string,
  arch: Architecture,
  state: ReadonlyMap<string, Shaped>,
  shapes: ReadonlyMap<string, Shaped>,
): void {
  const encoder = [...state].filter(([name]) => name.startsWith("encoder."))
    .map(([name, value]) => [name.slice("encoder.".length), value] as const)
    .filter(([name]) => !name.startsWith("fc."));
  const found = new Map(encoder);
  const { missing, unexpected, reshaped } = compareNames(found, shapes);
  const withoutStatistics = missing.filter((name) =>
    name.endsWith(".running_mean") && found.has(name.replace("running_mean", "weight"))
  );
  const lost = missing.filter((name) => !/\.running_(mean|var)$/.test(name));
  const faults = [
    fault("it has layers that this program's does not have", layersOf(unexpected)),
    fault("it has other norms than BatchNorm, without running statistics", layersOf(withoutStatistics)),
    fault("it has layers of other shapes", reshapedLayers(reshaped)),
    fault("it lacks layers", layersOf(lost)),
  ].filter((each) => each !== null);
  if (faults.length > 0) throw new TypeError(`Cannot load ${path} as a ${arch}: ${faults.join("; ")}`);
}

function fault(what: string, layers: readonly string[]): string | null {
  return layers.length === 0 ? null : `${what}: ${listed(layers)}`;
}

function layerOf(name: string): string {
  return brief(name.replace(/\.[^.]*$/, ""));
}

function layersOf(names: readonly string[]): string[] {
  return [...new Set(names.map(layerOf))];
}

/** One clause for each layer, of its first tensor. */
function reshapedLayers(reshaped: Difference["reshaped"]): string[] {
  const layers = new Map<string, string>();
  for (const { name, found, wanted } of reshaped) {
    const layer = layerOf(name);
    if (!layers.has(layer)) layers.set(layer, `${layer} is ${found}, not ${wanted}${kindOf(found, wanted)}`);
  }
  return [...layers.values()];
}

/** The family of ResNets with such a convolution, for the message. */
function kindOf(found: string, wanted: string): string {
  const [[outputs, inputs, height], [wantedOutputs, wantedInputs, wantedHeight]]: number[][] = [found, wanted]
    .map((
      text,
    ) => JSON.parse(text));
  if (height === undefined || height !== wantedHeight) return "";
  if (inputs < wantedInputs) return " (grouped, as in ResNeXt)";
  return outputs > wantedOutputs ? " (as in wide ResNets)" : "";
}

const SHOWN = 5;

function listed(items: readonly string[]): string {
  const more = items.length > SHOWN ? ` and ${items.length - SHOWN} more` : "";
  return items.slice(0, SHOWN).join(", ") + more;
}
