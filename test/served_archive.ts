/**
 * A server on this machine that has an archive of a small data set.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";

/** Packs the files of a folder as an official archive does: in one folder. */
export async function archiveOfFolder(path: string, folder: string): Promise<Uint8Array<ArrayBuffer>> {
  const tar = pack();
  for (const { name } of Deno.readDirSync(path)) {
    tar.entry({ name: `${folder}/${name}` }, Deno.readFileSync(`${path}/${name}`) as unknown as string);
  }
  tar.finalize();
  return new Uint8Array(gzipSync(await buffer(tar as unknown as AsyncIterable<Uint8Array>)));
}

/** How a transfer goes: to its end, to its middle, where it is cut or stalls, or to another host. */
export type Transfer = "whole" | "cut" | "stall" | "elsewhere";

/** A running server. */
export interface ArchiveServer extends AsyncDisposable {
  /** The value of STEC_ARCHIVE that leads here. */
  readonly address: string;
  /** The first byte that each request asked for. */
  readonly asked: number[];
}

/** Serves an archive; `transfer` says how each request goes, the first of them being number 0. */
export function serveArchive(
  archive: Uint8Array<ArrayBuffer>,
  transfer: (request: number) => Transfer = () => "whole",
): ArchiveServer {
  const asked: number[] = [];
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
    onError: () => new Response(null, { status: 500 }),
  }, (request) => {
    const start = Number(/bytes=(\d+)-/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
    return respond(archive, start, transfer(asked.push(start) - 1));
  });
  const sha256 = createHash("sha256").update(archive).digest("hex");
  return {
    address: `http://127.0.0.1:${server.addr.port}/files/set.tar.gz#sha256=${sha256}`,
    asked,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function respond(archive: Uint8Array<ArrayBuffer>, start: number, transfer: Transfer): Response {
  const headers = new Headers({ "content-length": `${archive.length - start}` });
  if (start > 0) headers.set("content-range", `bytes ${start}-${archive.length - 1}/${archive.length}`);
  if (transfer === "elsewhere") return Response.redirect("http://elsewhere.test/set.tar.gz", 302);
  const status = start > 0 ? 206 : 200, rest = archive.subarray(start);
  if (transfer === "whole") return new Response(rest, { status, headers });
  let sent = false;
  const body = new ReadableStream({
    pull: (controller) => {
      if (!sent) controller.enqueue(rest.subarray(0, rest.length >> 1));
      else if (transfer === "cut") controller.error(new Error("cut"));
      else return new Promise<void>(() => {});
      sent = true;
    },
  });
  return new Response(body, { status, headers });
}
