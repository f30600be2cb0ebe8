/**
 * Where the official data sets come from.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";

/**
 * The official archive of a data set. The sites publish no SHA-256; those in the catalog are the ones that several
 * independent loaders pin.
 */
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

/** The variable that names another address for the archive, as `<url>` or, where it is another file, `<url>#sha256=<hex>`. */
const ADDRESS = "STEC_ARCHIVE";

/**
 * The archive to download: the official one, unless `STEC_ARCHIVE` names another address.
 *
 * @throws {UsageError} where that is no address of an archive
 */
export function archiveOf(
  official: Archive,
  address: string | undefined = Deno.env.get(ADDRESS),
): Archive {
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
