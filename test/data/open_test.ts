import assert from "node:assert/strict";
import { BLURRED, testRecipes } from "../augment/recipes.ts";
import { resolveTrain } from "../../src/config/resolve.ts";
import { openImages, openSource } from "../../src/data/open.ts";
import { temporaryFolder, writeJpegs } from "../made_data.ts";

const OPTIONS = {
  views: testRecipes(24, BLURRED),
  ...{ batchSize: 4, seed: 5, device: "cpu", processes: 1 },
};

Deno.test("openSource and openImages leave their notes where they fail", async () => {
  using folder = temporaryFolder();
  await writeJpegs(folder.path, { only: 9 });
  Deno.writeTextFileSync(`${folder.path}/only/names.txt`, "");
  const settings = resolveTrain({ dataset: "folder", data_dir: folder.path, stop_gradient: 2 });
  const notes: string[] = [], failing = openSource(settings, { ...OPTIONS, rank: 0, notes }, "labeled");
  await assert.rejects(
    failing,
    /^Error: Cannot train the supervised head alone on .*: its images have no labels$/,
  );
  assert.deepEqual(notes, [
    `Left out in ${folder.path}: 1 file that is not an image, the first is only/names.txt`,
    `Only one class folder in ${folder.path}, only: training without labels`,
    "Holding out 10% of the images for validation (fewer than 500 images)",
  ]);
  const second: string[] = [],
    again = openSource(settings, { ...OPTIONS, rank: 1, notes: second }, "labeled");
  await assert.rejects(again, /no labels/);
  assert.deepEqual(second, [], "the first process says what was found");
  const empty = { ...settings, data_dir: `${folder.path}/none` }, found: string[] = [];
  Deno.mkdirSync(`${empty.data_dir}/sub`, { recursive: true });
  await assert.rejects(openImages(empty, "test", found), /there is no JPEG, PNG, WebP, TIFF or GIF$/);
  assert.deepEqual(found, [`No images in the folder ${empty.data_dir}/sub: it is not a class`]);
});
