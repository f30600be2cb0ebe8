import assert from "node:assert/strict";
import { ByteFile } from "../../src/files/byte_file.ts";
import { inFolder } from "../checkpoint/files.ts";

Deno.test("ByteFile: a pipe, a device and a folder are refused at once", () => {
  inFolder((folder) => {
    const pipe = `${folder}/last.ckpt`;
    assert(new Deno.Command("mkfifo", { args: [pipe] }).outputSync().success);
    for (const path of [pipe, "/dev/zero", folder]) {
      assert.throws(() => new ByteFile(path), { message: `Cannot read ${path}: it is not a file` });
    }
  });
});
