import assert from "node:assert/strict";
import { Linear, resizedCrop, scope, Sgd, SimClr, tensor } from "../mod.ts";

const ROOT = new URL("../", import.meta.url);

/** The files under a folder whose documentation has examples. */
function* withExamples(folder: URL): Generator<string> {
  for (const entry of Deno.readDirSync(folder)) {
    const url = new URL(entry.name, folder);
    if (entry.isDirectory) yield* withExamples(new URL(`${url.href}/`));
    else if (Deno.readTextFileSync(url).includes("@example")) yield url.pathname;
  }
}

Deno.test("mod.ts: every example of the documentation runs, and the first finds its line", async () => {
  const files = [new URL("mod.ts", ROOT).pathname, ...withExamples(new URL("src/", ROOT))];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--doc", "-A", ...files],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder(), report = text.decode(stdout) + text.decode(stderr);
  assert.equal(code, 0, report);
  assert.match(report, /^2\.00 1\.00$/m);
  for (const file of files) {
    assert.match(report, new RegExp(`running [1-9]\\d* tests? from .*${file.split("/").at(-1)}#`));
  }
});

Deno.test("mod.ts: exports every layer of the library", () => {
  for (const exported of [Linear, Sgd, SimClr, resizedCrop, scope, tensor]) {
    assert.equal(typeof exported, "function");
  }
});
