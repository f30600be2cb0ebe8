import assert from "node:assert/strict";
import { join } from "node:path";
import { findCompiler } from "../../src/setup/compile.ts";
import { REPOSITORY, run } from "../../src/setup/environment.ts";
import { readManifest } from "../../src/setup/manifest.ts";

Deno.test("handle table: a freed handle stays dead, however often its place was used", async () => {
  const { libtorch } = readManifest(), [compiler, ...first] = (await findCompiler(Deno.env)).command;
  const folder = Deno.makeTempDirSync();
  try {
    const program = join(folder, "handle_table"), libraries = join(libtorch, "lib");
    const compiled = await run(compiler, [
      ...first,
      ...["-std=c++20", "-O2", "-isystem", join(libtorch, "include"), "-I", join(REPOSITORY, "native")],
      ...[join(import.meta.dirname!, "handle_table.cpp"), "-o", program],
      ...["-L", libraries, `-Wl,-rpath,${libraries}`, "-lc10"],
    ]);
    assert.equal(compiled?.code, 0, compiled?.err);
    const answer = await run(program, []);
    assert.deepEqual(answer, { code: 0, out: "", err: "" });
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
