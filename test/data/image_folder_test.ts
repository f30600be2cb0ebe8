import assert from "node:assert/strict";
import { failureAsNobody } from "../as_nobody.ts";
import { listImageFolder, listImageNet } from "../../src/data/image_folder.ts";

/** A folder with empty files of the given names, gone after `use`. */
function withFiles(paths: readonly string[], use: (folder: string) => void): void {
  const folder = Deno.realPathSync(Deno.makeTempDirSync());
  try {
    for (const path of paths) {
      const parent = path.slice(0, path.lastIndexOf("/"));
      if (path.includes("/")) Deno.mkdirSync(`${folder}/${parent}`, { recursive: true });
      if (!path.endsWith("/")) Deno.writeTextFileSync(`${folder}/${path}`, "");
    }
    use(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** Names of so many images of a class. */
const images = (folder: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${folder}/${String(i).padStart(4, "0")}.JPEG`);

Deno.test("image folder: ImageNet's classes are its folders, sorted, and 50 of each are held out", () => {
  const files = [...images("train/n02", 620), ...images("train/n01", 500), ...images("val/n02", 3)];
  withFiles(files, (folder) => {
    const { train, validation, test, notes } = listImageNet(folder);
    assert.deepEqual(notes, []);
    assert.deepEqual(train.classes, ["n01", "n02"]);
    assert.deepEqual([train.paths.length, validation.paths.length, test.paths.length], [450 + 570, 100, 3]);
    assert.equal(validation.paths[0], "n01/0000.JPEG");
    assert.equal(train.paths[0], "n01/0050.JPEG");
    assert.deepEqual([train.labels![449], train.labels![450]], [0, 1]);
    assert.deepEqual([...test.labels!], [1, 1, 1]);
    assert.equal(test.root, `${folder}/val`);
    assert.equal(new Set([...train.paths, ...validation.paths]).size, 1120);
  });
});

Deno.test("image folder: of small classes a tenth is held out, and it says so", () => {
  const files = [...images("train/a", 20), ...images("train/b", 4), ...images("train/c", 1), "val/a/x.jpg"];
  withFiles(files, (folder) => {
    const { train, validation, notes } = listImageNet(folder);
    assert.deepEqual(validation.paths, ["a/0000.JPEG", "a/0001.JPEG", "b/0000.JPEG"]);
    assert.equal(train.paths.length, 22);
    assert.match(notes.join(), /is a tenth in 3 of 3 classes, which have fewer than 500 images\.$/);
  });
});

Deno.test("image folder: other files, nested folders and empty classes are counted and left out", () => {
  const files = [
    "train/a/1.JPEG",
    "train/a/2.png",
    "train/a/notes.txt",
    "train/a/deep/3.jpg",
    "train/b/",
    "train/.x",
  ];
  withFiles([...files, "val/a/1.jpg"], (folder) => {
    const { train, validation, notes } = listImageNet(folder);
    assert.deepEqual([...train.paths, ...validation.paths].sort(), ["a/1.JPEG", "a/2.png"]);
    assert.deepEqual(train.classes, ["a", "b"]);
    assert.ok(notes.includes(`There are no images in the class folder ${folder}/train/b.`));
    assert.ok(
      notes.some((note) => note.startsWith(`Left out in ${folder}/train: 3 that are no image files`)),
    );
  });
});

Deno.test("image folder: links are followed, but not in circles", () => {
  withFiles(["data/a/1.jpg", "data/a/2.jpg", "elsewhere/b/3.jpg"], (folder) => {
    Deno.symlinkSync(`${folder}/elsewhere/b`, `${folder}/data/b`);
    Deno.symlinkSync(`${folder}/elsewhere/b/3.jpg`, `${folder}/data/a/3.jpg`);
    Deno.symlinkSync(`${folder}/data`, `${folder}/data/loop`);
    Deno.symlinkSync("..", `${folder}/data/a/up`);
    Deno.symlinkSync("self.jpg", `${folder}/data/a/self.jpg`);
    Deno.symlinkSync("nowhere", `${folder}/data/a/broken.jpg`);
    const { train, validation, notes } = listImageFolder(`${folder}/data`);
    const paths = [...train.paths, ...validation.paths].sort();
    assert.deepEqual(paths, ["a/1.jpg", "a/2.jpg", "a/3.jpg", "b/3.jpg"]);
    assert.deepEqual(train.classes, ["a", "b"]);
    assert.ok(
      notes.includes(`Left out is the folder ${folder}/data/loop: it is a link back to ${folder}/data.`),
    );
    assert.ok(notes.some((note) => note.includes(": 3 that are no image files")));
  });
});

Deno.test("image folder: without sub-folders there are no labels", () => {
  withFiles(images(".", 30), (folder) => {
    const { train, validation, test, notes } = listImageFolder(folder);
    assert.deepEqual([train.paths.length, validation.paths.length], [27, 3]);
    assert.equal(test, validation);
    assert.equal(train.labels, undefined);
    assert.deepEqual(train.classes, []);
    assert.match(notes.join(), /no test set/);
  });
});

Deno.test("image folder: what cannot be used is said in one sentence", () => {
  withFiles(["train/a/1.jpg", "val/b/1.jpg", "empty/", "classes/x/", "file.jpg", "text/a.txt"], (folder) => {
    assert.throws(() => listImageNet(folder), /val: there is no class b among the training images$/);
    assert.throws(() => listImageNet(`${folder}/empty`), /empty\/train: there is no such folder$/);
    assert.throws(() => listImageFolder(`${folder}/file.jpg`), /file\.jpg: it is no folder$/);
    assert.throws(() => listImageFolder(`${folder}/empty`), /empty: there is no JPEG/);
    assert.throws(() => listImageFolder(`${folder}/text`), /text: there is no JPEG/);
    assert.throws(
      () => listImageFolder(`${folder}/classes`),
      /classes: there is no class folder with a JPEG/,
    );
  });
});

Deno.test("image folder: images beside the classes are counted and left out, a link back is no class", () => {
  withFiles(["classes/a/1.jpg", "classes/2.jpg", "classes/1.jpg", "flat/1.jpg", "flat/2.jpg"], (folder) => {
    const place = `${folder}/classes`, { train, notes } = listImageFolder(place);
    assert.deepEqual([train.paths, train.classes], [["a/1.jpg"], ["a"]]);
    assert.ok(
      notes.includes(`Left out in ${place}: 2 images that are in no class folder, the first is 1.jpg.`),
    );
    Deno.symlinkSync(".", `${folder}/flat/loop`);
    const flat = listImageFolder(`${folder}/flat`);
    assert.deepEqual([flat.train.labels, flat.train.paths], [undefined, ["2.jpg"]]);
    assert.ok(flat.notes.some((note) => note.includes("flat/loop: it is a link back")));
  });
});

Deno.test("image folder: a folder without permission is named", () => {
  withFiles(["a/1.jpg", "b/1.jpg"], (folder) => {
    Deno.chmodSync(folder, 0o755);
    Deno.chmodSync(`${folder}/b`, 0);
    try {
      const sentence = `Cannot read the images in ${folder}/b: there is no permission to read it`;
      const module = new URL("../../src/data/image_folder.ts", import.meta.url);
      assert.equal(failureAsNobody(module, "listImageFolder", folder), sentence);
    } finally {
      Deno.chmodSync(`${folder}/b`, 0o700);
    }
  });
});
