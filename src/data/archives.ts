/**
 * Where the official data sets come from.
 *
 * @module
 */

/** An official archive of a data set. */
export interface Archive {
  /** The data set's name for messages, e.g. `CIFAR-10`. */
  readonly title: string;
  /** Where the archive is. */
  readonly url: string;
  /** The MD5 of the archive, in hexadecimal. */
  readonly md5: string;
  /** The one folder that is in the archive. */
  readonly folder: string;
}

/** The data sets that can be downloaded. */
export type DownloadableName = "cifar10" | "cifar100" | "stl10";

/** The official archives. */
export const ARCHIVES: Readonly<Record<DownloadableName, Archive>> = {
  cifar10: {
    title: "CIFAR-10",
    url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    md5: "c32a1d4ab5d03f1284b67883e8d87530",
    folder: "cifar-10-batches-bin",
  },
  cifar100: {
    title: "CIFAR-100",
    url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5: "03b5dce01913d631647c71ecec9e9cb8",
    folder: "cifar-100-binary",
  },
  stl10: {
    title: "STL-10",
    url: "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    md5: "91f7769df0f17e558f3565bffb0c7dfb",
    folder: "stl10_binary",
  },
};

/** Whether a data set can be downloaded. */
export function isDownloadable(dataset: string): dataset is DownloadableName {
  return dataset in ARCHIVES;
}
