/**
 * Where the official data sets come from.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";

/** An archive of a data set. */
export interface Archive {
  /** The data set's name for messages, e.g. `CIFAR-10`. */
  readonly title: string;
  /** How much there is to download, in words. */
  readonly size: string;
  /** Where the archive is. */
  readonly url: string;
  /** The SHA-256 of the archive, in hexadecimal. */
  readonly sha256: string;
  /** The one folder that is in the archive. */
  readonly folder: string;
}

/** The data sets that can be downloaded. */
export type DownloadableName = "cifar10" | "cifar100" | "stl10";

/**
 * The official archives. Their sites publish no SHA-256; these are the ones that several independent loaders pin.
 */
export const ARCHIVES: Readonly<Record<DownloadableName, Archive>> = {
  cifar10: {
    title: "CIFAR-10",
    size: "170 MB",
    url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    folder: "cifar-10-batches-bin",
  },
  cifar100: {
    title: "CIFAR-100",
    size: "169 MB",
    url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    folder: "cifar-100-binary",
  },
  stl10: {
    title: "STL-10",
    size: "2.6 GB",
    url: "https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    sha256: "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
    folder: "stl10_binary",
  },
};

/** The variable that names another address for the archive, as `<url>` or, where it is another file, `<url>#sha256=<hex>`. */
const ADDRESS = "STEC_ARCHIVE";

/**
 * The archive of a data set: the official one, unless `STEC_ARCHIVE` names another address.
 *
 * @throws {UsageError} where that is no address of an archive
 */
export function archiveOf(
  dataset: DownloadableName,
  address: string | undefined = Deno.env.get(ADDRESS),
): Archive {
  const official = ARCHIVES[dataset];
  if (address === undefined || address === "") return official;
  const url = URL.parse(address), sha256 = /^(?:|#sha256=([0-9a-f]{64}))$/.exec(url?.hash ?? "");
  if (
    url === null || !/^https?:$/.test(url.protocol) || !url.pathname.endsWith(".tar.gz") || sha256 === null
  ) {
    throw new UsageError(
      `Cannot use ${ADDRESS}=${address}: it takes the address of a .tar.gz, ` +
        `and #sha256=... after it if that is not the official archive`,
    );
  }
  url.hash = "";
  return { ...official, url: url.href, sha256: sha256[1] ?? official.sha256 };
}

/** Whether a data set can be downloaded. */
export function isDownloadable(dataset: string): dataset is DownloadableName {
  return dataset in ARCHIVES;
}
