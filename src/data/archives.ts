/**
 * Where the official data sets come from.
 *
 * @module
 */

import { UsageError } from "../errors.ts";

/** An archive of a data set. */
export interface Archive {
  /** The data set's name for messages, e.g. `CIFAR-10`. */
  readonly title: string;
  /** How much there is to download, in words. */
  readonly size: string;
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
    size: "170 MB",
    url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    md5: "c32a1d4ab5d03f1284b67883e8d87530",
    folder: "cifar-10-batches-bin",
  },
  cifar100: {
    title: "CIFAR-100",
    size: "169 MB",
    url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5: "03b5dce01913d631647c71ecec9e9cb8",
    folder: "cifar-100-binary",
  },
  stl10: {
    title: "STL-10",
    size: "2.6 GB",
    url: "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    md5: "91f7769df0f17e558f3565bffb0c7dfb",
    folder: "stl10_binary",
  },
};

/** The variable that names another address for the archive, as `<url>` or, where it is another file, `<url>#md5=<hex>`. */
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
  const url = URL.parse(address), md5 = /^(?:|#md5=([0-9a-f]{32}))$/.exec(url?.hash ?? "");
  if (url === null || !/^https?:$/.test(url.protocol) || !url.pathname.endsWith(".tar.gz") || md5 === null) {
    throw new UsageError(
      `Cannot use ${ADDRESS}=${address}: it takes the address of a .tar.gz, ` +
        `and #md5=... after it if that is not the official archive`,
    );
  }
  url.hash = "";
  return { ...official, url: url.href, md5: md5[1] ?? official.md5 };
}

/** Whether a data set can be downloaded. */
export function isDownloadable(dataset: string): dataset is DownloadableName {
  return dataset in ARCHIVES;
}
