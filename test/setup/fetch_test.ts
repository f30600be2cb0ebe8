import assert from "node:assert/strict";
import { join } from "node:path";
import { buildFor, driverOf } from "../../src/setup/driver.ts";
import { checkSha256, download, torchRequirement } from "../../src/setup/fetch.ts";
import { listedProgress, withFolder, writeFiles } from "./fakes.ts";

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

Deno.test("fetch: the build fits the driver", () => {
  const builds = [null, 610, 580, 579, 525].map((driver) => buildFor(driver).build);
  assert.deepEqual(builds, ["cu130", "cu130", "cu130", "cu126", "cu126"]);
  assert.deepEqual(buildFor(470), {
    build: "cpu",
    cudaMissing: "NVIDIA's driver 470 is too old: CUDA 12 needs version 525",
  });
  assert.deepEqual(torchRequirement("2.13.0", "cpu"), ["torch==2.13.0"]);
  assert.deepEqual(torchRequirement("2.13.0", "cu126").slice(0, 2), [
    "torch==2.13.0+cu126",
    "--extra-index-url",
  ]);
});

Deno.test("fetch: the driver's version is in the name of its library", () =>
  withFolder((folder) => {
    const link = join(folder, "libcuda.so.1");
    assert.equal(driverOf([link]), null);
    writeFiles(folder, { "libcuda.so.570.86.15": "", "plain/libcuda.so.1": "" });
    Deno.symlinkSync("libcuda.so.570.86.15", link);
    assert.equal(driverOf([join(folder, "none"), link]), 570);
    assert.equal(driverOf([join(folder, "plain/libcuda.so.1")]), null);
  }));

Deno.test("fetch: a file with another SHA-256 is refused", () =>
  withFolder(async (folder) => {
    writeFiles(folder, { file: "abc" });
    const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    await checkSha256(join(folder, "file"), abc, "https://host.test/file");
    await assert.rejects(() => checkSha256(join(folder, "file"), "0".repeat(64), "https://host.test/file"), {
      message: `Cannot use https://host.test/file: its SHA-256 is ${abc}, it should be ${"0".repeat(64)}`,
    });
  }));
