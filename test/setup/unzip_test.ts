import assert from "node:assert/strict";
import { join } from "node:path";
import { ZipWriter } from "../../src/zip/writer.ts";
import { readMember, unzip } from "../../src/setup/unzip.ts";
import { withFolder, writeFiles, zipOf } from "./fakes.ts";

/** More than is unpacked in one call, and not all the same. */
const LARGE = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * i) >> 7);

Deno.test("unzip: unpacks the members that are wanted, small and large", () =>
  withFolder(async (folder) => {
    writeFiles(folder, {
      "a.whl": zipOf({ "torch/small": "text", "torch/large": LARGE, "torch/none": "", "other": "x" }),
    });
    const shares: number[] = [];
    const wanted = (name: string) => name.startsWith("torch/");
    await unzip(join(folder, "a.whl"), join(folder, "out"), wanted, (share) => shares.push(share));
    assert.equal(await Deno.readTextFile(join(folder, "out/torch/small")), "text");
    assert.deepEqual(new Uint8Array(await Deno.readFile(join(folder, "out/torch/large"))), LARGE);
    assert.equal((await Deno.stat(join(folder, "out/torch/none"))).size, 0);
    assert.deepEqual([...Deno.readDirSync(join(folder, "out"))].map(({ name }) => name), ["torch"]);
    assert.equal(shares.at(-1), 1);
  }));

Deno.test("unzip: understands stored members and 64-bit archives", () =>
  withFolder(async (folder) => {
    for (const zip64From of [undefined, 1000]) {
      const path = join(folder, `${zip64From}.zip`);
      using file = Deno.openSync(path, { write: true, createNew: true });
      const writer = new ZipWriter(file, zip64From);
      writer.add("large", LARGE.length, [LARGE]);
      writer.add("small", 5, [new TextEncoder().encode("hello")]);
      writer.finish();
      await unzip(path, join(folder, "out"));
      assert.deepEqual(new Uint8Array(await Deno.readFile(join(folder, "out/large"))), LARGE);
      assert.equal(await readMember(path, (name) => name === "small"), "hello");
      assert.equal(await readMember(path, (name) => name === "absent"), null);
    }
  }));

Deno.test("unzip: says which archive is cut off, damaged or reaches outside", () =>
  withFolder(async (folder) => {
    const whole = zipOf({ large: LARGE });
    const damaged = whole.slice();
    damaged[1000] ^= 1;
    writeFiles(folder, {
      "cut": whole.subarray(0, whole.length / 2),
      "empty": "",
      "damaged": damaged,
      "outside": zipOf({ "../outside": "x" }),
    });
    const unpack = (name: string) => unzip(join(folder, name), join(folder, "out"));
    await assert.rejects(() => unpack("cut"), /Cannot unpack .*cut: it is no zip archive, or it is cut off/);
    await assert.rejects(() => unpack("empty"), /Cannot unpack .*empty: it is no zip archive/);
    await assert.rejects(() => unpack("damaged"), /Cannot unpack .*damaged: /);
    await assert.rejects(() => unpack("outside"), /\.\.\/outside would lie outside of the folder/);
    await assert.rejects(() => unpack("absent"), /Cannot unpack .*absent: /);
  }));
