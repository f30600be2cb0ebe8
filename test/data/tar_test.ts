import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { type Header, pack } from "tar-stream";
import { unpackTarGz } from "../../src/data/tar.ts";

type Entry = Partial<Header> & { name: string; content?: string | Uint8Array };

/** A gzipped archive of the given entries. */
async function tarGz(entries: readonly Entry[]): Promise<Uint8Array> {
  const archive = pack();
  for (const { content = "", ...header } of entries) archive.entry(header, content);
  archive.finalize();
  return gzipSync(await buffer(archive as unknown as AsyncIterable<Uint8Array>));
}

/** Unpacks bytes below a folder of its own, whose parent must not have got anything else. */
async function unpack(bytes: Uint8Array, check: (folder: string) => void = () => {}): Promise<void> {
  const parent = await Deno.makeTempDir();
  try {
    await Deno.writeFile(`${parent}/a.tar.gz`, bytes);
    await Deno.mkdir(`${parent}/out`);
    try {
      await unpackTarGz(`${parent}/a.tar.gz`, `${parent}/out`);
    } finally {
      assert.deepEqual([...Deno.readDirSync(parent)].map((entry) => entry.name).sort(), ["a.tar.gz", "out"]);
    }
    check(`${parent}/out`);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

Deno.test("tar: files and folders are unpacked", async () => {
  const big = Uint8Array.from({ length: 300_000 }, (_, i) => i * i >> 4);
  const long = "d/" + "n".repeat(150);
  const entries: Entry[] = [
    { name: "d/", type: "directory" },
    { name: "d/big.bin", content: big },
    { name: "./e/f/small.txt", content: "small" },
    { name: "d/empty" },
    { name: long, content: "long" },
  ];
  await unpack(await tarGz(entries), (folder) => {
    assert.deepEqual(Deno.readFileSync(`${folder}/d/big.bin`), big);
    assert.equal(Deno.readTextFileSync(`${folder}/e/f/small.txt`), "small");
    assert.equal(Deno.statSync(`${folder}/d/empty`).size, 0);
    assert.equal(Deno.readTextFileSync(`${folder}/${long}`), "long");
  });
});

Deno.test("tar: what would leave the folder is refused", async () => {
  const cases: readonly [Entry[], RegExp][] = [
    [[{ name: "../evil.txt", content: "x" }], /a\.tar\.gz: the path "\.\.\/evil\.txt" leaves the folder/],
    [[{ name: "a/../../evil.txt", content: "x" }], /leaves the folder/],
    [[{ name: "/tmp/evil.txt", content: "x" }], /leaves the folder/],
    [[{ name: "a\\..\\evil.txt", content: "x" }], /leaves the folder/],
    [[{ name: "C:evil.txt", content: "x" }], /leaves the folder/],
    [[{ name: "l", type: "symlink", linkname: ".." }, { name: "l/evil.txt" }], /l is a symlink/],
    [[{ name: "l", type: "link", linkname: "/etc/passwd" }], /l is a link/],
    [[{ name: "pipe", type: "fifo" }], /pipe is a fifo/],
    [[{ name: "twice", content: "1" }, { name: "twice", content: "2" }], /exists/],
  ];
  for (const [entries, message] of cases) {
    await assert.rejects(unpack(await tarGz(entries)), { message });
  }
});

Deno.test("tar: a broken archive is an error with its name", async () => {
  const whole = await tarGz([{
    name: "a",
    content: Uint8Array.from({ length: 90_000 }, (_, i) => i * i >> 4),
  }]);
  await assert.rejects(
    unpack(whole.subarray(0, whole.length / 2)),
    /Cannot unpack .*a\.tar\.gz: unexpected end/,
  );
  await assert.rejects(
    unpack(new TextEncoder().encode("<html>gone</html>")),
    /a\.tar\.gz: incorrect header check/,
  );
  await assert.rejects(unpack(gzipSync(new Uint8Array(5000).fill(65))), /a\.tar\.gz: Invalid tar header/);
});
