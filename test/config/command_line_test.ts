import assert from "node:assert/strict";
import { parseCommandLine } from "../../src/config/command_line.ts";
import { COMMAND_NAMES, flagSections } from "../../src/config/flags.ts";
import type { TrainSettings } from "../../src/config/settings.ts";
import { UsageError } from "../../src/base/errors.ts";

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
  [["probe"], "Cannot probe: --ckpt_path must name a checkpoint"],
  [["probe", "--ckpt_path", "C", "--resume"], "Unknown flag --resume: --help lists them"],
  [["preview", "--count", "0"], "Cannot use --count 0: it takes a whole number of at least 1"],
  [["preview", "-o", ""], 'Cannot use --output "": it takes the path of a file'],
  [["export", "-o", "F"], "Cannot export: --ckpt_path must name a checkpoint"],
  [["export", "--ckpt_path", "C"], "Cannot export: --output must name the file to write"],
  [
    ["export", "--ckpt_path", "a/C", "-o", "a/b/../C"],
    "Cannot export a/C onto itself: --output must name another file",
  ],
  [
    ["export", "--ckpt_path", "C", "-o", "F", "--to", "keras"],
    "Cannot use --to keras: it takes one of safetensors, torchvision, timm",
  ],
  [["export", "--ckpt_path", "C", "-o", "--to", "timm"], "--output needs a value"],
  [["export", "--ckpt_path", "C", "-o"], "-o, --output needs a value"],
  [["export", "--arch", "resnet18"], "Unknown flag --arch: --help lists them"],
  [["inspect"], "Cannot inspect 0 files: name one .ckpt, .pt or .safetensors file"],
  [["inspect", "a", "b"], "Cannot inspect 2 files: name one .ckpt, .pt or .safetensors file"],
  [["inspect", "a", "--quux"], "Unknown flag --quux: --help lists them"],
  [["insepct", "a"], "Unknown command insepct: did you mean inspect?"],
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
    const named = [...text.matchAll(/^ {2}(\w+) +[A-Z]/gm)].map(([, name]) => name);
    assert.deepEqual(named, ["train", "eval", "probe", "preview", "export", "inspect"]);
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

Deno.test("command line: the help of other commands has the flags that matter to them", () => {
  const flagsOf = (command: string) =>
    [...textOf(command, "--help").matchAll(/^ {2}(?:-\w, )?--(\w+)/gm)].map(([, name]) => name)
      .filter((name) => name !== "version" && name !== "help");
  assert.deepEqual(flagsOf("export"), ["ckpt_path", "output", "to"]);
  assert.deepEqual(flagsOf("inspect"), []);
  assert.match(textOf("inspect", "--help"), /^Usage: deno task inspect <file>\n/);
  for (
    const name of ["dataset", "maxpool1", "p_grayscale", "n_bins", "seed", "ckpt_path", "count", "output"]
  ) {
    assert(flagsOf("preview").includes(name), name);
  }
  for (const name of ["batch_size", "arch", "gpus", "results_path", "manip_lambda"]) {
    assert(!flagsOf("preview").includes(name), name);
  }
  for (const name of ["dataset", "batch_size", "gpus", "seed", "ckpt_path", "results_path"]) {
    assert(flagsOf("probe").includes(name), name);
  }
  for (const name of ["arch", "width", "feat_dim", "p_grayscale", "count", "learning_rate"]) {
    assert(!flagsOf("probe").includes(name), name);
  }
});

Deno.test("command line: the help is as wide as it is told, and its examples are understood", () => {
  for (const command of COMMAND_NAMES) {
    const text = textOf(command, "--help");
    for (const line of text.split("\n")) assert(line.length <= 100, line);
    const examples = text.slice(text.search(/Examples?:/)).replaceAll("\\\n", " ").split("\n")
      .filter((line) => line.trimStart().startsWith(`deno task ${command}`));
    assert(examples.length >= 1, command);
    for (const example of examples) {
      assert.equal(parseCommandLine(example.trim().split(/\s+/).slice(2)).command, command);
    }
  }
});

Deno.test("command line: probe, preview, export and inspect have their settings", () => {
  const probe = parseCommandLine(["probe", "--dataset", "stl10", "--ckpt-path", "C", "--arch", "resnet18"]);
  assert(probe.command === "probe");
  assert.deepEqual(
    [probe.settings.dataset, probe.settings.image_size, probe.settings.results_path, probe.notes],
    ["stl10", 96, "", ["Without effect on probe: --arch"]],
  );
  const preview = parseCommandLine(["preview", "--dataset", "cifar10", "--batch_size", "4", "-o", "P.html"]);
  assert(preview.command === "preview");
  const { output, count, ckpt_path, n_bins } = preview.settings;
  assert.deepEqual([output, count, ckpt_path, n_bins], ["P.html", 6, "", 6]);
  assert.deepEqual(preview.notes, ["Without effect on preview: --batch_size"]);
  assert.deepEqual(parseCommandLine(["export", "--ckpt_path=C", "--to", "timm", "-oF"]), {
    command: "export",
    settings: { ckpt_path: "C", to: "timm", output: "F" },
    notes: [],
  });
  assert.deepEqual(parseCommandLine(["inspect", "a.ckpt"]), {
    command: "inspect",
    settings: { file: "a.ckpt" },
    notes: [],
  });
});

Deno.test("command line: a preview without a data set is of the built-in one, and says so", () => {
  const preview = parseCommandLine(["preview"]);
  assert(preview.command === "preview");
  assert.equal(preview.settings.dataset, "shapes");
  assert.equal(preview.notes.length, 1);
  assert.match(preview.notes[0], /^No --dataset: this is the built-in demonstration, with --dataset shapes/);
  assert.doesNotMatch(preview.notes[0], /batch_size|arch|learning_rate/);
});

Deno.test("command line: the version is the project's", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  for (const args of [["--version"], ["train", "--version"], ["eval", "--version"]]) {
    assert.equal(textOf(...args), `stec ${version}\n`);
  }
});
