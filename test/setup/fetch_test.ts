import assert from "node:assert/strict";
import { join } from "node:path";
import { archiveBuilds, download } from "../../src/setup/fetch.ts";
import { listedProgress, withFolder } from "./fakes.ts";

/** Serves `respond` on the loopback while `body` runs. */
async function withServer(respond: Deno.ServeHandler, body: (url: string) => Promise<void>): Promise<void> {
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, respond);
  await body(`http://127.0.0.1:${server.addr.port}/file`);
}

Deno.test("fetch: downloads a file", () =>
  withFolder((folder) =>
    withServer(() => new Response("content"), async (url) => {
      await download(url, join(folder, "file"), listedProgress());
      assert.equal(await Deno.readTextFile(join(folder, "file")), "content");
    })
  ));

Deno.test("fetch: says what kept a file from coming whole", () =>
  withFolder(async (folder) => {
    const path = join(folder, "file");
    await withServer(() => new Response("", { status: 404 }), async (url) => {
      await assert.rejects(() => download(url, path, listedProgress()), {
        message: `Cannot download ${url}: 404 Not Found`,
      });
    });
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const url = `http://127.0.0.1:${listener.addr.port}/file`;
    const cutOff = (async () => {
      using connection = await listener.accept();
      await connection.read(new Uint8Array(1024));
      await connection.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"));
    })();
    await assert.rejects(() => download(url, path, listedProgress()), /Cannot download http.*file: ./);
    await cutOff;
    listener.close();
    await assert.rejects(() => download(url, path, listedProgress()), /Cannot download http.*refused/);
  }));

Deno.test("fetch: the archive fits the driver", () => {
  assert.deepEqual(archiveBuilds(false, ""), ["cpu"]);
  assert.deepEqual(archiveBuilds(true, "580.65.06\n580.65.06\n"), ["cu130", "cu126"]);
  assert.deepEqual(archiveBuilds(true, "570.86.15\n"), ["cu126"]);
  assert.deepEqual(archiveBuilds(true, ""), ["cu130", "cu126"]);
});
