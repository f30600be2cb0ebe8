import assert from "node:assert/strict";
import { join } from "node:path";
import { stage } from "../../src/executable/deno_compile.ts";
import { PACKED, unpackLibraries } from "../../src/executable/unpack.ts";
import { temporaryFolder } from "../made_data.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const FILES = [
  { path: "cli.ts", source: encode("// the program") },
  { path: "build/torch/lib/libtorch_cpu.so", source: new Uint8Array(300_000).fill(7) },
  { path: "build/native.json", source: encode("{}") },
];

/** The files as `deno compile` would hold them, and a cache. */
class Staged implements Disposable {
  readonly #folder = temporaryFolder();
  readonly path: string = Deno.realPathSync(this.#folder.path);
  readonly cache: string = join(this.path, "cache");

  constructor() {
    stage(this.path, FILES, 3);
  }

  unpack(): Promise<string> {
    return unpackLibraries(new Map([["STEC_CACHE", this.cache]]), join(this.path, PACKED));
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

Deno.test("unpack: libraries are packed apart from the program, and unpacked once", async () => {
  using staged = new Staged();
  assert.equal(Deno.readTextFileSync(join(staged.path, "cli.ts")), "// the program");
  const [first, ...others] = await Promise.all([staged.unpack(), staged.unpack(), staged.unpack()]);
  assert.deepEqual(others, [first, first]);
  assert.equal(Deno.readTextFileSync(first), "{}");
  const library = join(first, "..", "torch/lib/libtorch_cpu.so");
  assert.deepEqual(Deno.readFileSync(library), FILES[1].source);
  const { ino } = Deno.statSync(library);
  assert.equal(await staged.unpack(), first);
  assert.equal(Deno.statSync(library).ino, ino);
});

Deno.test("unpack: what others could have changed, or what has changed, is not used", async () => {
  using staged = new Staged();
  const folder = join(await staged.unpack(), "..");
  for (const path of [join(folder, "native.json"), folder, join(folder, ".."), staged.path]) {
    const mode = Deno.statSync(path).mode! & 0o777;
    Deno.chmodSync(path, mode | 0o020);
    await assert.rejects(
      staged.unpack(),
      /^Error: Cannot use .*: other users may write to it; run `chmod go-w`/,
    );
    Deno.chmodSync(path, mode);
  }
  Deno.chmodSync(staged.path, 0o1777);
  await staged.unpack();
  Deno.truncateSync(join(folder, "native.json"), 1);
  await assert.rejects(
    staged.unpack(),
    /^Error: Cannot use .*native\.json: it is not as it was unpacked; remove /,
  );
});

const isRoot = Deno.uid() === 0;
Deno.test({
  name: `unpack: what belongs to another user is not used${isRoot ? "" : " (skipped: needs root)"}`,
  ignore: !isRoot,
  fn: async () => {
    using staged = new Staged();
    const manifest = await staged.unpack();
    for (const path of [manifest, join(manifest, ".."), join(manifest, "../.."), staged.path]) {
      Deno.chownSync(path, 12345, 12345);
      await assert.rejects(
        staged.unpack(),
        /^Error: Cannot use .*: it belongs to another user; set STEC_CACHE to/,
      );
      Deno.chownSync(path, 0, 0);
    }
  },
});

Deno.test("unpack: damaged libraries leave nothing that is used", async () => {
  using staged = new Staged();
  const packed = join(staged.path, PACKED, "0.zst"), bytes = Deno.readFileSync(packed);
  const flipped = bytes.slice();
  flipped[flipped.length - 1] ^= 1;
  for (const damaged of [bytes.subarray(0, bytes.length - 6), flipped]) {
    Deno.writeFileSync(packed, damaged);
    await assert.rejects(staged.unpack(), /^Error: Cannot start: this copy .* is damaged; copy it again$/);
  }
  assert.ok([...Deno.readDirSync(join(staged.cache, "executable"))].every(({ isDirectory }) => !isDirectory));
  Deno.writeFileSync(packed, bytes);
  await staged.unpack();
});
