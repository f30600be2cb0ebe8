import assert from "node:assert/strict";
import sharp from "sharp";
import { DecodePool } from "../../src/data/decode_pool.ts";
import { temporaryFolder } from "../made_data.ts";
import { madeUpRequest } from "./requests.ts";

Deno.test("decode pool: a file that a worker does not come back from is named, and the end is not waited for", async () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/silent.jpg`;
  assert((await new Deno.Command("mkfifo", { args: [path] }).output()).success);
  await using pool = new DecodePool(2, 10);
  const run = pool.run(madeUpRequest([path]));
  await assert.rejects(run, { message: `Cannot decode ${path}: it takes longer than 60 seconds` });
  await assert.rejects(pool.run(madeUpRequest([path])), /silent\.jpg: it takes longer/);
  // Lets the worker go.
  Deno.openSync(path, { write: true }).close();
});

Deno.test("decode pool: files that are too large are not read", async () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/sparse.jpg`;
  Deno.writeTextFileSync(path, "");
  Deno.truncateSync(path, 2 ** 40);
  await using pool = new DecodePool(1);
  const { failures } = await pool.run(madeUpRequest([path]));
  assert.deepEqual(failures, [{ place: 0, reason: "it has 1099512 megabytes, the limit is 537" }]);
});

Deno.test("decode pool: eight workers need no more memory for very large images than one", async () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/large.png`, side = 9400;
  const image = sharp({ create: { width: side, height: side, channels: 3, background: "red" } });
  Deno.writeFileSync(path, await image.png({ compressionLevel: 9 }).toBuffer());
  const script = new URL("./bombs.ts", import.meta.url).pathname;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    // The memory of a process can only be read by one that may do everything.
    args: ["run", "--allow-all", script, path, "8"],
  }).output();
  const text = new TextDecoder(), answer = text.decode(stdout);
  assert.notEqual(answer, "", text.decode(stderr));
  const { before, after, failures } = JSON.parse(answer);
  assert.deepEqual(failures, []);
  const images = (after - before) / (3 * side * side);
  assert(images < 4, `as much as ${images.toFixed(1)} images`);
});
