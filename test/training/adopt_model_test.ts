import assert from "node:assert/strict";
import { UsageError } from "../../src/base/errors.ts";
import { parseCommandLine } from "../../src/config/command_line.ts";
import { adoptModel } from "../../src/training/adopt_model.ts";
import { temporaryFolder } from "../made_data.ts";
import { writeModel } from "../made_model.ts";

/** The command line with the networks of its checkpoint. */
function adopted(line: string) {
  const invocation = parseCommandLine(line.split(" "));
  assert.ok("given" in invocation);
  return adoptModel(invocation);
}

/** What test/made_model.ts writes. */
const MADE = {
  arch: "resnet18",
  width: 4,
  first_conv: false,
  maxpool1: true,
  hidden_mlp: 16,
  feat_dim: 8,
  projection_final_batch_norm: true,
  manip_hidden_mlp: [16],
  n_bins: 4,
};

Deno.test("adopted model: eval and train --resume take the networks of the checkpoint", () => {
  using folder = temporaryFolder();
  writeModel(`${folder.path}/last.ckpt`);
  for (
    const line of [
      `eval --dataset cifar10 --ckpt_path ${folder.path}/last.ckpt`,
      `eval --ckpt_path ${folder.path}/last.ckpt --width 4 --arch resnet18`,
      `train --dataset cifar10 --resume --results_path ${folder.path}`,
      `train --resume --results_path ${folder.path} --manip_hidden_mlp 16 --first_conv 0`,
    ]
  ) {
    const { settings, notes } = adopted(line);
    assert.deepEqual({ ...settings, ...MADE }, settings, line);
    assert.doesNotMatch(notes.join(), /--width 16/, "the demonstration's networks are not meant");
  }
});

Deno.test("adopted model: a flag that contradicts the checkpoint is refused, with both values", () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/last.ckpt`;
  writeModel(path);
  const cases: [flags: string, message: string][] = [
    ["--width 64", "Cannot use --width 64: PATH has 4, which it takes without the flag"],
    ["--arch resnet50", "Cannot use --arch resnet50: PATH has resnet18, which it takes without the flag"],
    ["--first_conv 1", "Cannot use --first_conv 1: PATH has 0, which it takes without the flag"],
    [
      "--manip_hidden_mlp 8,8",
      "Cannot use --manip_hidden_mlp 8,8: PATH has 16, which it takes without the flag",
    ],
  ];
  for (const start of [`eval --ckpt_path ${path}`, `train --resume --results_path ${folder.path}`]) {
    for (const [flags, message] of cases) {
      assert.throws(() => adopted(`${start} ${flags}`), (error) => {
        assert.ok(error instanceof UsageError);
        assert.equal(error.message, message.replace("PATH", path));
        return true;
      });
    }
  }
});

Deno.test("adopted model: training that does not resume, or has nothing to resume, is as its flags say", () => {
  using folder = temporaryFolder();
  const { settings } = adopted(`train --resume --results_path ${folder.path}/none --width 8`);
  assert.equal(settings.width, 8);
  Deno.writeTextFileSync(`${folder.path}/last.ckpt`, "damaged");
  assert.equal(adopted(`train --resume --results_path ${folder.path} --width 8`).settings.width, 8);
  writeModel(`${folder.path}/step-00000007.ckpt`);
  assert.equal(adopted(`train --resume --results_path ${folder.path}`).settings.width, 4);
  assert.equal(adopted(`train --results_path ${folder.path} --width 8`).settings.width, 8);
});
