import assert from "node:assert/strict";
import { failureAsNobody } from "../as_nobody.ts";
import * as folders from "../../src/data/image_folder.ts";

/** Lists a folder, with the notes on it. */
function listImageFolder(folder: string) {
  const notes: string[] = [];
  return { ...folders.listImageFolder(folder, notes), notes };
}

function listImageNet(folder: string) {
  const notes: string[] = [];
  return { ...folders.listImageNet(folder, notes), notes };
}

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
    assert.deepEqual(notes, ["Holding out 10% of 3 of 3 classes for validation (fewer than 500 images)"]);
  });
});

Deno.test("image folder: images below the class folders belong to their classes, other files are counted", () => {
  const files = ["a/1.JPEG", "a/2.png", "a/notes.txt", "a/deep/3.jpg", "a/deep/er/4.gif", "a/deep 2/5.tif"];
  withFiles(
    [...files.map((file) => `train/${file}`), "train/b/6.webp", "train/c/", "val/a/1.jpg"],
    (folder) => {
      const { train, validation, notes } = listImageNet(folder);
      assert.deepEqual(train.classes, ["a", "b"]);
      // As torchvision lists them: by the paths of their folders.
      assert.deepEqual(validation.paths, ["a/1.JPEG"]);
      assert.deepEqual(train.paths, [
        ...["a/2.png", "a/deep 2/5.tif", "a/deep/3.jpg", "a/deep/er/4.gif", "b/6.webp"],
      ]);
      assert.deepEqual([...train.labels!], [0, 0, 0, 0, 1]);
      assert.deepEqual(notes.slice(0, 2), [
        `No images in the folder ${folder}/train/c: it is not a class`,
        `Left out in ${folder}/train: 1 file that is not an image, the first is a/notes.txt`,
      ]);
    },
  );
});

Deno.test("image folder: hidden names and what systems put beside the images are left out", () => {
  const hidden = ["._1.jpg", ".hidden/1.jpg", "@eaDir/1.jpg", "__MACOSX/1.jpg", ".ipynb_checkpoints/1.jpg"];
  const everywhere = ["", "a/", "a/deep/"].flatMap((place) => hidden.map((name) => place + name));
  withFiles(["a/1.jpg", "a/deep/2.jpg", "b/3.jpg", ...everywhere], (folder) => {
    const { train, validation, notes } = listImageFolder(folder);
    assert.deepEqual([...validation.paths, ...train.paths], ["a/1.jpg", "a/deep/2.jpg", "b/3.jpg"]);
    assert.deepEqual(train.classes, ["a", "b"]);
    assert.equal(notes.length, 2, notes.join("\n"));
  });
  withFiles(["1.jpg", "2.jpg", ...hidden], (folder) => {
    const { train, validation } = listImageFolder(folder);
    assert.deepEqual([...validation.paths, ...train.paths, train.labels], ["1.jpg", "2.jpg", undefined]);
  });
});

Deno.test("image folder: train with val, test or both splits the images", () => {
  const train = ["train/a/1.jpg", "train/a/2.jpg", "train/b/3.jpg", "info/classes.txt", "readme.txt"];
  for (const name of ["val", "valid", "validation", "test"]) {
    withFiles([...train, `${name}/b/4.jpg`], (folder) => {
      const found = listImageFolder(folder);
      assert.deepEqual([found.train.paths, found.train.root], [["a/2.jpg", "b/3.jpg"], `${folder}/train`]);
      assert.deepEqual(found.validation.paths, ["a/1.jpg"]);
      assert.deepEqual([found.test.paths, found.test.root], [["b/4.jpg"], `${folder}/${name}`]);
      assert.deepEqual([...found.test.labels!], [1]);
      assert.equal(found.notes[0], `Splits of the data set in ${folder}: train, ${name}`);
    });
  }
  withFiles([...train, "val/a/4.jpg", "test/b/5.jpg"], (folder) => {
    const found = listImageFolder(folder);
    assert.deepEqual(found.train.paths, ["a/1.jpg", "a/2.jpg", "b/3.jpg"]);
    assert.deepEqual([found.validation.paths, found.test.paths], [["a/4.jpg"], ["b/5.jpg"]]);
  });
  withFiles(["train/1.jpg", "train/2.jpg", "test/x/3.jpg"], (folder) => {
    const found = listImageFolder(folder);
    assert.deepEqual([found.train.paths, found.train.labels], [["2.jpg"], undefined]);
    assert.deepEqual([found.test.paths, found.test.labels], [["x/3.jpg"], undefined]);
  });
  withFiles([...train, "test/4.jpg"], (folder) => {
    const found = listImageFolder(folder);
    assert.equal(found.test, found.validation, "images without labels are not tested on");
    assert.ok(found.notes.includes(`No test set in ${folder}; testing on the 1 validation images`));
  });
  withFiles(["train/1.jpg", "plane/2.jpg", "test/3.jpg"], (folder) => {
    assert.deepEqual(listImageFolder(folder).train.classes, ["plane", "test", "train"]);
  });
});

Deno.test("image folder: one class is none", () => {
  withFiles(["only/1.jpg", "only/deep/2.jpg", "info/classes.txt"], (folder) => {
    const { train, validation, notes } = listImageFolder(folder);
    assert.deepEqual([...validation.paths, ...train.paths], ["only/1.jpg", "only/deep/2.jpg"]);
    assert.deepEqual([train.labels, train.classes], [undefined, []]);
    assert.ok(notes.includes(`Only one class folder in ${folder}, only: training without labels`));
  });
});

Deno.test("image folder: names that are not UTF-8 are counted and left out", () => {
  withFiles(["a/1.jpg", "b/2.jpg", "b/\ufffd.jpg"], (folder) => {
    const script =
      'cd "$1"; : > a/$(printf "\\377").jpg; mkdir $(printf "caf\\351"); : > $(printf "caf\\351")/3.jpg';
    assert.ok(new Deno.Command("sh", { args: ["-c", script, "sh", folder] }).outputSync().success);
    const { train, notes } = listImageFolder(folder);
    assert.deepEqual(train.classes, ["a", "b"]);
    assert.ok(train.paths.includes("b/\ufffd.jpg"), "this one is UTF-8");
    const [first] = notes;
    assert.ok(
      first.startsWith(`Left out in ${folder}: 2 names that are not UTF-8; rename ${folder}/`),
      first,
    );
  });
});

Deno.test("image folder: what is to be said is said where there is an error, too", () => {
  withFiles(["text/a.txt", "loop/"], (folder) => {
    Deno.symlinkSync("..", `${folder}/loop/up`);
    const notes: string[] = [];
    assert.throws(() => folders.listImageFolder(folder, notes), /there is no JPEG, PNG, WebP, TIFF or GIF$/);
    assert.deepEqual(notes, [
      `Left out the folder ${folder}/loop/up: it links back to ${folder}`,
      `No images in the folder ${folder}/loop: it is not a class`,
      `No images in the folder ${folder}/text: it is not a class`,
      `Left out in ${folder}: 1 file that is not an image, the first is text/a.txt`,
    ]);
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
      notes.includes(`Left out the folder ${folder}/data/loop: it links back to ${folder}/data`),
    );
    assert.ok(notes.includes(`Left out the folder ${folder}/data/a/up: it links back to ${folder}/data`));
    assert.ok(notes.some((note) => note.includes(": 2 files that are not images")));
  });
});

Deno.test("image folder: without sub-folders there are no labels", () => {
  withFiles(images(".", 30), (folder) => {
    const { train, validation, test, notes } = listImageFolder(folder);
    assert.deepEqual([train.paths.length, validation.paths.length], [27, 3]);
    assert.equal(test, validation);
    assert.equal(train.labels, undefined);
    assert.deepEqual(train.classes, []);
    assert.deepEqual(notes, ["Holding out 10% of the images for validation (fewer than 500 images)"]);
  });
});

Deno.test("image folder: what cannot be used is said in one sentence", () => {
  withFiles([
    "train/a/1.jpg",
    "train/c/1.jpg",
    "val/b/1.jpg",
    "empty/",
    "classes/x/",
    "file.jpg",
    "text/a.txt",
  ], (folder) => {
    assert.throws(() => listImageNet(folder), /val: there is no class b among the training images$/);
    assert.throws(() => listImageNet(`${folder}/empty`), /empty\/train: there is no such folder$/);
    assert.throws(() => listImageFolder(`${folder}/file.jpg`), /file\.jpg: it is not a folder$/);
    assert.throws(() => listImageFolder(`${folder}/empty`), /empty: there is no JPEG/);
    assert.throws(() => listImageFolder(`${folder}/text`), /text: there is no JPEG/);
    assert.throws(
      () => listImageFolder(`${folder}/classes`),
      /classes: there is no JPEG/,
    );
  });
});

Deno.test("image folder: images beside the classes are counted and left out, a link back is no class", () => {
  withFiles(["c/a/1.jpg", "c/b/1.jpg", "c/2.jpg", "c/1.jpg", "flat/1.jpg", "flat/2.jpg"], (folder) => {
    const place = `${folder}/c`, { train, notes } = listImageFolder(place);
    assert.deepEqual([train.paths, train.classes], [["a/1.jpg", "b/1.jpg"], ["a", "b"]]);
    assert.ok(
      notes.includes(`Left out in ${place}: 2 images outside the class folders, the first is 1.jpg`),
    );
    Deno.symlinkSync(".", `${folder}/flat/loop`);
    const flat = listImageFolder(`${folder}/flat`);
    assert.deepEqual([flat.train.labels, flat.train.paths], [undefined, ["2.jpg"]]);
    assert.ok(flat.notes.some((note) => note.includes("flat/loop: it links back")));
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
