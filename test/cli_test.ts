import assert from "node:assert/strict";
import { join } from "node:path";
import { denoCommand } from "../src/launch/launch.ts";
import { REPOSITORY } from "../src/setup/environment.ts";

/** Runs the program as a task would, with variables added; nothing it starts may load a library. */
async function run(args: readonly string[], env: Record<string, string> = {}) {
  const permissions = [
    "--no-prompt",
    "--allow-read",
    "--allow-env=STEC_*,XDG_CACHE_HOME,HOME",
  ];
  const { code, stdout, stderr } = await new Deno.Command(denoCommand(), {
    args: ["run", ...permissions, join(REPOSITORY, "cli.ts"), ...args],
    env: { STEC_DEBUG: "0", ...env },
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

for (
  const [args, sentence] of [
    [["train", "--lerning_rate", "4"], "Unknown flag --lerning_rate: did you mean --learning_rate?\n"],
    [
      ["train", "--batch_size", "many"],
      "Cannot use --batch_size many: it takes a whole number of at least 2\n",
    ],
    [["eval"], "Cannot evaluate: --ckpt_path must name a checkpoint\n"],
    [["trian"], "Unknown command trian: did you mean train?\n"],
  ] as const
) {
  Deno.test(`cli: ${args.join(" ")} is one sentence on stderr and status 2`, async () => {
    assert.deepEqual(await run(args), { code: 2, out: "", err: sentence });
  });
}

Deno.test("cli: the help is on stdout, and loads no library", async () => {
  const { code, out, err } = await run(["train", "--help"]);
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /^Usage: deno task train \[flags\]\n/);
});

Deno.test("cli: without the native library it says what to do, status 1", async () => {
  const { code, out, err } = await run(["train"], { STEC_NATIVE: join(REPOSITORY, "no", "native.json") });
  assert.deepEqual([code, out], [1, ""]);
  assert.match(err, /^Cannot read the native library's manifest .*: run `deno task setup`\n$/);
});

Deno.test("cli: STEC_DEBUG=1 shows where an error comes from", async () => {
  const { code, err } = await run(["train", "--quux"], { STEC_DEBUG: "1" });
  assert.equal(code, 2);
  assert.match(err, /^UsageError: Unknown flag --quux: .*\n +at .*command_line\.ts/);
});
