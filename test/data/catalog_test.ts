import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { DATASET_NAMES, entryOf } from "../../src/data/catalog.ts";
import { denoCommand } from "../../src/launch/launch.ts";

Deno.test("catalog: loading it loads neither libtorch nor an image decoder", async () => {
  const file = new URL("../../src/data/catalog.ts", import.meta.url).href;
  const { stdout } = await new Deno.Command(denoCommand(), { args: ["info", "--json", file] }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as { modules: { specifier: string }[] };
  const loaded = modules.map(({ specifier }) => specifier);
  assert(loaded.includes(file));
  assert.deepEqual(loaded.filter((specifier) => /\/src\/torch\/|sharp|turbojpeg/.test(specifier)), []);
});

Deno.test("catalog: images in memory are as wide as views by default", async () => {
  const entry = entryOf("shapes");
  assert(entry.stored === "memory");
  const { width, height } = await entry.load("", "test");
  assert.deepEqual([width, height], [entry.defaults.image_size, entry.defaults.image_size]);
});

Deno.test("catalog: code that serves all data sets names none", () => {
  const names = DATASET_NAMES.filter((name) => name !== "shapes");
  const files = [
    "data/open",
    "data/obtain",
    "preview/samples",
    "launch/permissions",
    "config/flags",
    "config/resolve",
  ];
  for (const file of [...files, "commands/train"]) {
    const source = readFileSync(new URL(`../../src/${file}.ts`, import.meta.url), "utf8");
    assert.deepEqual(names.filter((name) => source.includes(`"${name}"`)), [], file);
  }
});
