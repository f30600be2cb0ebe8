/**
 * Opens the weights of any file that this program reads: checkpoints, bare state dicts and safetensors.
 *
 * @module
 */

import { bareCheckpoint, type LightningCheckpoint, parseLightning } from "./lightning.ts";
import { readCheckpoint } from "./pytorch.ts";
import { isSafetensors, readSafetensors } from "./safetensors.ts";
import type { StoredTensor } from "./stored_tensor.ts";

/** A checkpoint in an open file; dispose of it when its tensors have been read. */
export type OpenCheckpoint = LightningCheckpoint<StoredTensor> & Disposable;

/**
 * Opens a file of weights; a file without settings, such as a bare state dict, has those of its metadata, if any.
 *
 * @throws {Error} one sentence if the file is damaged or holds no weights
 */
export function openWeights(path: string): OpenCheckpoint {
  const file = isSafetensors(path) ? readSafetensors(path) : readCheckpoint(path);
  try {
    const checkpoint = "root" in file ? parseLightning(file.root, path) : bareCheckpoint(file.tensors, path);
    const hyperParameters = { ...exportedSettings(file.metadata), ...checkpoint.hyperParameters };
    return { ...checkpoint, hyperParameters, [Symbol.dispose]: () => file[Symbol.dispose]() };
  } catch (thrown) {
    file[Symbol.dispose]();
    throw thrown;
  }
}

/** What the metadata of an exported encoder say of its settings. */
function exportedSettings(metadata: ReadonlyMap<string, string>): LightningCheckpoint["hyperParameters"] {
  const maxPool = metadata.get("maxpool1");
  return maxPool === undefined ? {} : { maxpool1: maxPool === "1" };
}
