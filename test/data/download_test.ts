import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import {
  downloadDataset,
  downloadFile,
  type DownloadOptions,
  type DownloadProgress,
} from "../../src/data/download.ts";
import type { Archive } from "../../src/data/archives.ts";
import { DOWNLOADABLE, releaseOf } from "../../src/data/catalog.ts";

const CONTENT = Uint8Array.from({ length: 200_000 }, (_, i) => i * i >> 5);
const SHA256 = sha256(CONTENT);
const FAST: DownloadOptions = { retryDelay: 1, attempts: 3 };

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A server on this machine, for as long as `use` runs. */
async function withServer(
  handler: (request: Request, count: number) => Response,
  use: (url: string, folder: string) => Promise<void>,
): Promise<void> {
  let count = 0;
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
    onError: () => new Response(null, { status: 500 }),
  }, (request) => handler(request, ++count));
  const folder = await Deno.makeTempDir();
  try {
    await use(`http://127.0.0.1:${server.addr.port}/data.tar.gz`, folder);
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

const names = (folder: string) => [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();

/** The rest of the content from where the request asks, as servers answer. */
function serve(request: Request, end: "whole" | "cut" | "stall" = "whole", bytes = 60_000): Response {
  const start = Number(/bytes=(\d+)-/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
  const headers = new Headers({ "content-length": `${CONTENT.length - start}` });
  if (start > 0) headers.set("content-range", `bytes ${start}-${CONTENT.length - 1}/${CONTENT.length}`);
  const status = start > 0 ? 206 : 200;
  if (end === "whole") return new Response(CONTENT.subarray(start), { status, headers });
  let sent = false;
  const body = new ReadableStream({
    pull: (controller) => {
      if (!sent) controller.enqueue(CONTENT.subarray(start, start + bytes));
      else if (end === "cut") controller.error(new Error("cut"));
      else return new Promise<void>(() => {});
      sent = true;
    },
  });
  return new Response(body, { status, headers });
}

Deno.test("download: the file gets its name when it is whole, and is not fetched again", async () => {
  let requests = 0;
  await withServer((request) => (requests++, serve(request)), async (url, folder) => {
    const heard: DownloadProgress[] = [];
    await downloadFile(url, `${folder}/f`, SHA256, {
      ...FAST,
      onProgress: (progress) => heard.push(progress),
    });
    assert.deepEqual(Deno.readFileSync(`${folder}/f`), CONTENT);
    assert.deepEqual(names(folder), ["f"]);
    const total = CONTENT.length;
    assert.deepEqual(heard.findLast(({ stage }) => stage === "download"), {
      stage: "download",
      done: total,
      total,
    });
    assert.deepEqual(heard.at(-1), { stage: "check", done: total, total });
    await downloadFile(url, `${folder}/f`, SHA256, FAST);
    assert.equal(requests, 1);
  });
});

Deno.test("download: a transfer that is cut again and again goes on where it stopped", async () => {
  const ranges: (string | null)[] = [];
  const handler = (request: Request, count: number) => {
    ranges.push(request.headers.get("range"));
    return serve(request, count < 4 ? "cut" : "whole");
  };
  await withServer(handler, async (url, folder) => {
    await downloadFile(url, `${folder}/f`, SHA256, FAST);
    assert.deepEqual(Deno.readFileSync(`${folder}/f`), CONTENT);
  });
  assert.deepEqual(ranges, [null, "bytes=60000-", "bytes=120000-", "bytes=180000-"]);
});

Deno.test("download: a transfer that stalls is given up and goes on", async () => {
  await withServer(
    (request, count) => serve(request, count === 1 ? "stall" : "whole"),
    async (url, folder) => {
      await downloadFile(url, `${folder}/f`, SHA256, { ...FAST, stallTimeout: 200, attempts: 100 });
      assert.deepEqual(Deno.readFileSync(`${folder}/f`), CONTENT);
    },
  );
});

Deno.test("download: what an earlier run left is continued", async () => {
  let asked: string | null = null;
  const handler = (request: Request) => (asked = request.headers.get("range"), serve(request));
  await withServer(handler, async (url, folder) => {
    Deno.writeFileSync(`${folder}/f.part`, CONTENT.subarray(0, 150_000));
    await downloadFile(url, `${folder}/f`, SHA256, FAST);
    assert.equal(asked, "bytes=150000-");
    assert.deepEqual(names(folder), ["f"]);
  });
});

Deno.test("download: an earlier run's part of another file is thrown away", async () => {
  await withServer((request) => serve(request), async (url, folder) => {
    Deno.writeFileSync(`${folder}/f.part`, new Uint8Array(150_000));
    await downloadFile(url, `${folder}/f`, SHA256, FAST);
    assert.deepEqual(Deno.readFileSync(`${folder}/f`), CONTENT);
  });
});

Deno.test("download: a server that knows no ranges sends all of it again", async () => {
  const handler = (_: Request, count: number) =>
    serve(new Request("http://localhost"), count === 1 ? "cut" : "whole");
  await withServer(handler, async (url, folder) => {
    await downloadFile(url, `${folder}/f`, SHA256, FAST);
    assert.deepEqual(Deno.readFileSync(`${folder}/f`), CONTENT);
  });
});

Deno.test("download: a part that is whole already is only checked, and one that is too long is fetched anew", async () => {
  const handler = (request: Request) => {
    const start = Number(/\d+/.exec(request.headers.get("range") ?? "0")![0]);
    const headers = { "content-range": `bytes */${CONTENT.length}` };
    return start >= CONTENT.length ? new Response(null, { status: 416, headers }) : serve(request);
  };
  await withServer(handler, async (url, folder) => {
    Deno.writeFileSync(`${folder}/f.part`, CONTENT);
    await downloadFile(url, `${folder}/f`, SHA256, FAST);
    Deno.writeFileSync(`${folder}/g.part`, new Uint8Array(CONTENT.length + 1));
    await downloadFile(url, `${folder}/g`, SHA256, FAST);
    assert.deepEqual(Deno.readFileSync(`${folder}/g`), CONTENT);
  });
});

Deno.test("download: a server that never sends all ends in an error, and the part stays", async () => {
  const handler = (request: Request) => serve(request, "cut", request.headers.has("range") ? 0 : 1000);
  await withServer(handler, async (url, folder) => {
    await assert.rejects(downloadFile(url, `${folder}/f`, SHA256, FAST), (error: Error) => {
      assert.ok(
        error.message.startsWith(`Cannot download ${url}: `) && error.message.includes("attempt 3 of 3"),
      );
      return true;
    });
    assert.deepEqual(names(folder), ["f.part"]);
  });
});

Deno.test("download: a server that begins anew for ever is given up", async () => {
  let requests = 0;
  // It knows no ranges, and cuts each transfer.
  const handler = () => {
    requests++;
    return serve(new Request("http://127.0.0.1"), "cut", 1000);
  };
  await withServer(handler, async (url, folder) => {
    await assert.rejects(downloadFile(url, `${folder}/f`, SHA256, FAST), /attempt 3 of 3/);
    // The first one brought something.
    assert.equal(requests, 4);
  });
});

Deno.test("download: a server that sends more than any archive has is given up at once", async () => {
  let requests = 0;
  const handler = () => new Response(CONTENT, { headers: { "x-request": `${++requests}` } });
  await withServer(handler, async (url, folder) => {
    const options = { ...FAST, maxBytes: 100_000 };
    await assert.rejects(downloadFile(url, `${folder}/f`, SHA256, options), /more than 100000 bytes came/);
    assert.equal(requests, 1);
    assert(Deno.statSync(`${folder}/f.part`).size <= 100_000);
  });
});

Deno.test("download: a link in the place of the part is not written through", async () => {
  await withServer(() => new Response(CONTENT), async (url, folder) => {
    Deno.writeTextFileSync(`${folder}/precious`, "kept");
    Deno.symlinkSync(`${folder}/precious`, `${folder}/f.part`);
    await assert.rejects(downloadFile(url, `${folder}/f`, SHA256, FAST), /is a link to another file/);
    assert.equal(Deno.readTextFileSync(`${folder}/precious`), "kept");
  });
});

Deno.test("download: another file than the wanted one is refused with both SHA-256s, and removed", async () => {
  const other = new TextEncoder().encode("<html>Moved</html>");
  await withServer(() => new Response(other), async (url, folder) => {
    const message = `Cannot download ${url}: the 18 bytes that came have the SHA-256 ${
      sha256(other)
    }, it should be ${SHA256}`;
    await assert.rejects(downloadFile(url, `${folder}/f`, SHA256, FAST), { message });
    assert.deepEqual(names(folder), []);
  });
});

Deno.test("download: a missing file is not asked for twice, a server in trouble is", async () => {
  let requests = 0;
  const handler = (status: number) => () => (requests++, new Response("no", { status }));
  await withServer(handler(404), async (url, folder) => {
    await assert.rejects(
      downloadFile(url, `${folder}/f`, SHA256, FAST),
      /the server answered 404 Not Found$/,
    );
  });
  assert.equal(requests, 1);
  await withServer(handler(503), async (url, folder) => {
    await assert.rejects(downloadFile(url, `${folder}/f`, SHA256, FAST), /answered 503 .*attempt 3 of 3/);
  });
  assert.equal(requests, 4);
});

Deno.test("download: a signal ends it, and what came stays", async () => {
  await withServer((request) => serve(request, "stall"), async (url, folder) => {
    const controller = new AbortController();
    const options = { signal: controller.signal, onProgress: () => controller.abort(new Error("stopped")) };
    await assert.rejects(downloadFile(url, `${folder}/f`, SHA256, options), { message: "stopped" });
    assert.deepEqual(names(folder), ["f.part"]);
  });
});

/** An archive of one file at a path. */
async function archiveOf(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const tar = pack();
  tar.entry({ name: path }, "content");
  tar.finalize();
  return new Uint8Array(gzipSync(await buffer(tar as unknown as AsyncIterable<Uint8Array>)));
}

Deno.test("download: a data set's folder is there whole or not at all", async () => {
  const good = await archiveOf("set/a.bin"), evil = await archiveOf("set/../../evil");
  let sent = evil;
  await withServer(() => new Response(sent), async (url, folder) => {
    const archive = (): Archive => ({ title: "Set", size: "1 kB", url, sha256: sha256(sent), folder: "set" });
    await assert.rejects(
      downloadDataset(archive(), `${folder}/data`, FAST),
      /Cannot unpack .* leaves the folder/,
    );
    assert.deepEqual(names(`${folder}/data`), ["data.tar.gz"]);
    assert.deepEqual(names(folder), ["data"]);

    sent = good;
    await downloadDataset(archive(), `${folder}/data`, FAST);
    assert.deepEqual(names(`${folder}/data`), ["set"]);
    assert.equal(Deno.readTextFileSync(`${folder}/data/set/a.bin`), "content");
    await assert.rejects(downloadDataset(archive(), `${folder}/data`, FAST), /set is there but not complete/);
  });
});

Deno.test("download: every official archive has an address, a SHA-256 and a folder", () => {
  for (const { url, sha256, folder } of DOWNLOADABLE.map((name) => releaseOf(name)!.archive)) {
    assert.match(url, /^https?:\/\/[^ ]+\.tar\.gz$/);
    assert.match(sha256, /^[0-9a-f]{64}$/);
    assert.match(folder, /^[\w-]+$/);
  }
});
