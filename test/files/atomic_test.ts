import assert from "node:assert/strict";
import { removeLeftovers, writeAtomically, writeFully } from "../../src/files/atomic.ts";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
import type { TensorSource } from "../../src/checkpoint/stored_tensor.ts";
import { inFolder, source, throwsSentence } from "../checkpoint/files.ts";

const text = (value: string) => new TextEncoder().encode(value);
const names = (folder: string) => [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();

Deno.test("atomic: a file appears whole, and replaces the one before", () => {
  inFolder((folder) => {
    const path = `${folder}/a`;
    for (const contents of ["first, and longer", "second"]) {
      writeAtomically(path, (file) => {
        writeFully(file, text(contents));
        const [temporary] = names(folder).filter((name) => name !== "a");
        assert.match(temporary, /^a\.tmp-[0-9a-f]{16}$/);
      });
      assert.equal(Deno.readTextFileSync(path), contents);
    }
    assert.deepEqual(names(folder), ["a"]);
  });
});

Deno.test("atomic: a write that fails half-way leaves the good file and nothing else", () => {
  inFolder((folder) => {
    const path = `${folder}/last.ckpt`;
    writeCheckpoint(path, { w: source("float32", [2], [1, 2]) });
    const good = Deno.readFileSync(path);
    const full: TensorSource = {
      dtype: "float32",
      shape: [2],
      read() {
        throw new Error("No space left on device (os error 28)");
      },
    };
    throwsSentence(
      () => writeCheckpoint(path, { w: source("float32", [1000], []), v: full }),
      /^Cannot write .*last\.ckpt: Tensor 0 of shape \[1000\] takes 4000 bytes, its source gave 0$/,
    );
    throwsSentence(
      () => writeCheckpoint(path, [full]),
      /^Cannot write .*last\.ckpt: No space left on device/,
    );
    assert.deepEqual(Deno.readFileSync(path), good);
    assert.deepEqual(names(folder), ["last.ckpt"]);
  });
});

Deno.test("atomic: a folder that is removed meanwhile gives one sentence", () => {
  inFolder((folder) => {
    Deno.mkdirSync(`${folder}/results`);
    const path = `${folder}/results/last.ckpt`;
    throwsSentence(
      () => writeAtomically(path, () => Deno.removeSync(`${folder}/results`, { recursive: true })),
      /^Cannot write .*last\.ckpt: /,
    );
    throwsSentence(() => writeAtomically(path, () => {}), /^Cannot write .*last\.ckpt: /);
    assert.deepEqual(names(folder), []);
  });
});

Deno.test("atomic: a path that is a folder stays one", () => {
  inFolder((folder) => {
    Deno.mkdirSync(`${folder}/a`);
    throwsSentence(
      () => writeAtomically(`${folder}/a`, (file) => writeFully(file, text("x"))),
      /^Cannot write/,
    );
    assert.deepEqual(names(folder), ["a"]);
  });
});

Deno.test("atomic: what killed processes left is removed, and nothing else", () => {
  inFolder((folder) => {
    const kept = [
      "last.ckpt",
      "last.ckpt.tmp-",
      "last.ckpt.tmp-12x",
      "best.ckpt.tmp-12",
      "last.ckpt.tmp",
      "xlast.ckpt.tmp-3",
    ];
    for (const name of [...kept, "last.ckpt.tmp-12", "last.ckpt.tmp-99999"]) {
      Deno.writeTextFileSync(`${folder}/${name}`, "");
    }
    assert.deepEqual(removeLeftovers(folder, (name) => name === "last.ckpt").sort(), [
      "last.ckpt.tmp-12",
      "last.ckpt.tmp-99999",
    ]);
    assert.deepEqual(names(folder), kept.sort());
  });
});

Deno.test("atomic: a link planted under the temporary name is not written through", () => {
  inFolder((folder) => {
    Deno.writeTextFileSync(`${folder}/precious`, "kept");
    Deno.symlinkSync(`${folder}/precious`, `${folder}/planted`);
    assert.throws(
      () => writeAtomically(`${folder}/a`, (file) => writeFully(file, text("bad")), `${folder}/planted`),
      /^Error: Cannot write .*a: /,
    );
    assert.equal(Deno.readTextFileSync(`${folder}/precious`), "kept");
    assert.deepEqual(names(folder), ["planted", "precious"]);
  });
});
