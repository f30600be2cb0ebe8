/**
 * What the program knows about a data set before it opens one. Nothing here loads libtorch.
 *
 * @module
 */

import type { Archive } from "./archives.ts";
import type { FileSearch } from "./binary.ts";
import type { ImageDataset, Split } from "./dataset.ts";
import type { ImageFolders } from "./image_folder.ts";

/** A part of a data set that lies in files of its own: a split, or images without labels for pretraining. */
export type Part = Split | "unlabeled";

/** The defaults of flags that depend on the data set. */
export interface DatasetDefaults {
  /** Side of the views in pixels; for a data set in memory, the side of its images. */
  readonly image_size: number;
  /** Whether the encoder starts with the 7x7 convolution of stride 2. */
  readonly first_conv: boolean;
  /** Whether the encoder starts with max pooling. */
  readonly maxpool1: boolean;
  /** Strength of the color changes. */
  readonly jitter_strength: number;
}

/** A data set as its authors publish it. */
export interface Release {
  /** Where it is downloaded from. */
  readonly archive: Archive;
  /** The files of each part in the archive. */
  readonly files: { readonly [K in Split]: readonly string[] } & { readonly unlabeled?: readonly string[] };
}

/** Images without labels, which pretraining learns from instead of the training images. */
export interface UnlabeledImages {
  /** How many there are, without reading them. */
  count(dataDir: string): number;
  /** Reads all of them. */
  load(dataDir: string): Promise<ImageDataset>;
  /** Reads the images with the given numbers: uint8, (numbers, 3, image_size, image_size). */
  pick(dataDir: string, numbers: readonly number[]): Promise<Uint8Array<ArrayBuffer>>;
}

/** What all data sets have. */
interface Common {
  /** The name in messages, e.g. `CIFAR-10`. */
  readonly title: string;
  /** What the help of `--dataset` adds to the name on the command line. */
  readonly hint?: string;
  /** The defaults of flags that depend on the data set. */
  readonly defaults: DatasetDefaults;
}

/** A data set that fits in memory. Its images all have one size. */
export interface MemoryEntry extends Common {
  readonly stored: "memory";
  /** What can be downloaded; absent where no file is needed. */
  readonly release?: Release;
  /** Reads a split, with labels. */
  load(dataDir: string, split: Split): Promise<ImageDataset>;
  /** Images without labels, where the data set has them. */
  readonly unlabeled?: UnlabeledImages;
  /** Whether training ends with linear probes of raw pixels and of the untrained encoder, to compare with. */
  readonly comparesBaselines?: boolean;
}

/** A data set of image files, which are decoded for every batch and scaled to any size. */
export interface FilesEntry extends Common {
  readonly stored: "files";
  /** Lists the files. `notes` receives what the user should know, also where this fails. */
  list(dataDir: string, notes: string[]): ImageFolders;
}

/** What the program knows about a data set. */
export type DatasetEntry = MemoryEntry | FilesEntry;

/** Where the files of a part are looked for. */
export function searchFor({ archive, files }: Release, dataDir: string, part: Part): FileSearch {
  const { title, folder } = archive;
  return { dataset: title, folder: dataDir, archiveFolder: folder, files: files[part] ?? [] };
}
