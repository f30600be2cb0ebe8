import assert from "node:assert/strict";
import { byteText, inspectFile } from "../../src/commands/inspect.ts";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { ZipWriter } from "../../src/zip/writer.ts";
import { print } from "../../src/config/terminal.ts";
import { captured } from "../config/captured.ts";
import { fixture, inFolder, source } from "../checkpoint/files.ts";

Deno.test("inspect: a checkpoint is shown as a tree of names, types, shapes, sizes and settings", () => {
  const path = fixture("trained.ckpt");
  const lines = inspectFile(path);
  assert.equal(lines[0], `${path}: a PyTorch file, ${byteText(Deno.statSync(path).size)}`);
  assert.equal(lines[1], "11 tensors, 29 numbers, 120 bytes");
  const wanted = [
    "epoch: 1",
    "state_dict: dict of 7",
    "  0.weight              float32 [2, 3] 24 bytes",
    "  1.num_batches_tracked int64 [] 8 bytes",
    "optimizer_states: list of 1",
    "      0: dict of 1",
    "        momentum_buffer float32 [2, 3] 24 bytes",
    "        lr: 0.125",
    "        params: [0, 1, 2, 3]",
    "hyper_parameters: dict of 2",
    "  lr: 0.5",
    "  args: <object of argparse.Namespace, not loaded>",
    "    gpus: 1",
  ];
  for (const line of wanted) assert.ok(lines.includes(line), `${line} is not in\n${lines.join("\n")}`);
});

Deno.test("inspect: the older form, safetensors and metadata are shown", () => {
  assert.match(inspectFile(fixture("legacy_odd.pt"))[0], /a PyTorch file of the older form/);
  assert.ok(inspectFile(fixture("odd.pt")).includes('  names: ["a", "b"]'));
  const lines = inspectFile(fixture("library.safetensors"));
  assert.match(lines[0], /: safetensors$/);
  assert.ok(lines.includes("  note: written by the library"));
  assert.ok(lines.some((line) => /^permuted_double +float64 \[4, 2, 3\] 192 bytes$/.test(line)));
  assert.ok(
    inspectFile(fixture("tensors.pt")).some((line) =>
      /^transposed .*\[6, 4\] strides \[1, 6\] 96 bytes$/.test(line)
    ),
  );
});

Deno.test("inspect: several encoders are listed", () => {
  inFolder((folder) => {
    const one = source("float32", [1], [1]);
    const names = ["encoder_q", "encoder_k"].map((prefix) => `${prefix}.layer1.0.conv1.weight`);
    writeCheckpoint(`${folder}/a.pt`, new Map(names.map((name) => [name, one])));
    assert.ok(inspectFile(`${folder}/a.pt`).includes("2 encoders, below encoder_q. encoder_k."));
  });
});

Deno.test("inspect: weights are not read: a file with damaged ones is shown", () => {
  inFolder((folder) => {
    writeCheckpoint(`${folder}/a.pt`, { w: source("float32", [1000], new Array(1000).fill(1)) });
    const bytes = Deno.readFileSync(`${folder}/a.pt`);
    bytes[2000] ^= 1;
    Deno.writeFileSync(`${folder}/a.pt`, bytes);
    assert.equal(inspectFile(`${folder}/a.pt`).at(-1), "w float32 [1000] 4.0 kB");
  });
});

Deno.test("inspect: what a file says cannot drive the terminal", () => {
  inFolder((folder) => {
    const evil = "a\x1b[2J\n\u202e\x9b";
    writeCheckpoint(`${folder}/a.pt`, { [evil]: evil, w: { [evil]: source("float32", [1], [1]) } }, {
      [evil]: evil,
    });
    writeSafetensors(`${folder}/b`, new Map([[evil, source("float32", [1], [1])]]), { x: evil });
    for (const name of ["a.pt", "b"]) {
      const lines = inspectFile(`${folder}/${name}`), printed = captured(() => print(lines.join("\n")));
      assert.equal(printed.split("\n").length, lines.length + 1, "no name breaks its line");
      assert.doesNotMatch(printed.replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u);
    }
  });
});

Deno.test("inspect: a tree that contains itself, or doubles at every level, ends", () => {
  inFolder((folder) => {
    const pickles = ["]q\0h\0a.", "]q\0(h\0h\0e.", "K\x01\x85q\0" + "h\0h\0\x86q\0".repeat(100) + "."];
    for (const pickle of pickles) {
      using file = Deno.openSync(`${folder}/a.pt`, { write: true, create: true, truncate: true });
      const bytes = Uint8Array.from(pickle, (character) => character.charCodeAt(0));
      const zip = new ZipWriter(file);
      zip.add("x/data.pkl", bytes.length, [bytes]);
      zip.finish();
      const lines = inspectFile(`${folder}/a.pt`);
      assert.ok(lines.length > 3 && lines.length < 20_100, `${lines.length} lines`);
    }
  });
});
