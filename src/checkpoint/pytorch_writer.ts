/**
 * Writes checkpoints as `torch.save` does: a zip archive of a pickle and raw storages.
 *
 * @module
 */

import { writeAtomically } from "../files/atomic.ts";
import { METADATA_ENTRY } from "./pytorch.ts";
import { type Picklable, pickle } from "./pickle.ts";
import { byteLengthOf, piecesOf } from "./stored_tensor.ts";
import { ZipWriter } from "../zip/writer.ts";

/** The folder in the archive. PyTorch takes any name; this one does not depend on where the file is written to. */
const PREFIX = "archive";

/** What PyTorch's own writer says of itself: the formats that it writes, and that readers look for. */
const NOTES: readonly (readonly [name: string, text: string])[] = [
  [".format_version", "1"],
  [".storage_alignment", "64"],
  ["byteorder", "little"],
];

/**
 * Writes a tree of plain data and tensors, whole or not at all (see {@linkcode writeAtomically}), so that
 * `torch.load(path, weights_only=True)` opens it. The tensors are read one after another, each once, when their turn
 * comes: no more than one is in memory. The same tree gives the same bytes.
 *
 * @param metadata is kept beside the tree, in an entry of the archive that PyTorch ignores
 * @param temporary see {@linkcode writeAtomically}
 */
export function writeCheckpoint(
  path: string,
  tree: Picklable,
  metadata?: Readonly<Record<string, string>>,
  temporary?: string,
): void {
  const { bytes, tensors } = pickle(tree);
  writeAtomically(path, (file) => {
    const zip = new ZipWriter(file);
    const addText = (name: string, text: string) => {
      const encoded = new TextEncoder().encode(text);
      zip.add(`${PREFIX}/${name}`, encoded.length, [encoded]);
    };
    zip.add(`${PREFIX}/data.pkl`, bytes.length, [bytes]);
    for (const [name, text] of NOTES) addText(name, text);
    for (const [i, tensor] of tensors.entries()) {
      zip.add(`${PREFIX}/data/${i}`, byteLengthOf(tensor), piecesOf(`Tensor ${i}`, tensor));
    }
    if (metadata !== undefined) addText(METADATA_ENTRY, JSON.stringify(metadata));
    addText("version", "3\n");
    zip.finish();
  }, temporary);
}
