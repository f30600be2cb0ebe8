import assert from "node:assert/strict";
import { parseCommandLine } from "../../src/config/command_line.ts";
import { flagSections } from "../../src/config/flags.ts";
import type { TrainSettings } from "../../src/config/settings.ts";
import { UsageError } from "../../src/errors.ts";

/** The text that a command line asks for. */
function textOf(...args: string[]): string {
  const invocation = parseCommandLine(args);
  assert.equal(invocation.command, "print");
  return (invocation as { text: string }).text;
}

const REFUSED: readonly (readonly [readonly string[], string])[] = [
  [["train", "--lerning_rate", "4"], "Unknown flag --lerning_rate: did you mean --learning_rate?"],
  [["train", "--batch-sise", "4"], "Unknown flag --batch_sise: did you mean --batch_size?"],
  [["train", "--quux"], "Unknown flag --quux: --help lists them"],
  [["train", "-q"], "Unknown flag -q: --help lists them"],
  [["train", "--fp32=1"], "Unknown flag --fp32=1: did you mean --fp32?"],
  [["train", "--fp32", "0"], "Cannot understand 0: no flag before it takes a value"],
  [["train", "cifar10"], "Cannot understand cifar10: no flag before it takes a value"],
  [["train", "--", "--fp32"], "Cannot understand --fp32: no flag before it takes a value"],
  [["train", "--data_dir"], "--data_dir needs a value"],
  [["train", "--data_dir", "--fp32"], "--data_dir needs a value"],
  [["train", "--data-dir", "--batch-size", "4"], "--data_dir needs a value"],
  [
    ["train", "--arch", "resnet19"],
    "Cannot use --arch resnet19: it takes one of resnet18, resnet34, resnet50, resnet101, resnet152",
  ],
  [["train", "--batch-size", "x"], "Cannot use --batch_size x: it takes a whole number of at least 2"],
  [["eval"], "Cannot evaluate: --ckpt_path must name a checkpoint"],
  [["eval", "--ckpt_path", "C", "--resume"], "Unknown flag --resume: --help lists them"],
  [["trian"], "Unknown command trian: did you mean train?"],
  [["quux"], "Unknown command quux: --help lists them"],
];

for (const [args, message] of REFUSED) {
  Deno.test(`command line: refused is ${args.join(" ")}`, () => {
    assert.throws(() => parseCommandLine(args), (error) => {
      assert(error instanceof UsageError);
      assert.equal(error.message, message);
      return true;
    });
  });
}

Deno.test("command line: a value may look like a flag after an equals sign, or be a negative number", () => {
  const invocation = parseCommandLine([
    "train",
    "--comment=--fp32",
    "--fp32",
    "--p_grayscale",
    "-1",
    "--seed",
    "-7",
  ]);
  assert.equal(invocation.command, "train");
  const { comment, fp32, p_grayscale, seed } = (invocation as { settings: TrainSettings }).settings;
  assert.deepEqual([comment, fp32, p_grayscale, seed], ["--fp32", true, -1, -7]);
});

Deno.test("command line: the last of two equal flags wins", () => {
  const invocation = parseCommandLine(["train", "--seed", "1", "--seed", "2"]);
  assert.equal((invocation as { settings: TrainSettings }).settings.seed, 2);
});

Deno.test("command line: the help lists the commands", () => {
  for (const text of [textOf(), textOf("--help"), textOf("-h")]) {
    assert.match(text, /Usage: deno task <command> \[flags\]/);
    assert.match(text, /^ {2}train +Learn/m);
    assert.match(text, /^ {2}eval +Test/m);
  }
});

Deno.test("command line: the help of train has every flag in its section, with its default", () => {
  const text = textOf("train", "--help");
  for (const { title, flags } of flagSections("train")) {
    const section = text.slice(text.indexOf(`\n${title}:\n`)).split("\n\n")[0].replaceAll(/\s+/g, " ");
    for (const { name, fallback, description } of flags) {
      assert(section.includes(`--${name} `), `${name} is missing under ${title}`);
      assert(section.includes(description), `${name} is not explained`);
      if (!["", "none", "off"].includes(fallback)) {
        assert(section.includes(`${description} (default: ${fallback})`));
      }
    }
  }
});

Deno.test("command line: the help of eval leaves out what has no effect", () => {
  const text = textOf("eval", "--help");
  assert.match(text, /--ckpt_path <file>/);
  assert.doesNotMatch(text, /--learning_rate|--manip_lambda|--online_ft|--save_every/);
});

Deno.test("command line: the help is as wide as it is told, and its examples are understood", () => {
  const text = textOf("train", "--help");
  for (const line of text.split("\n")) assert(line.length <= 100, line);
  const examples = text.slice(text.indexOf("Examples:")).replaceAll("\\\n", " ").split("\n")
    .filter((line) => line.trimStart().startsWith("deno task train"));
  assert.equal(examples.length, 4);
  for (const example of examples) {
    assert.equal(parseCommandLine(example.trim().split(/\s+/).slice(2)).command, "train");
  }
});

Deno.test("command line: the version is the project's", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  for (const args of [["--version"], ["train", "--version"], ["eval", "--version"]]) {
    assert.equal(textOf(...args), `stec ${version}\n`);
  }
});
