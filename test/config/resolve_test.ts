import assert from "node:assert/strict";
import fc from "fast-check";
import { parseCommandLine } from "../../src/config/command_line.ts";
import { toArguments } from "../../src/config/flags.ts";
import {
  DEMONSTRATION,
  type GivenFlags,
  notesOn,
  resolveEval,
  resolveTrain,
} from "../../src/config/resolve.ts";
import type { TrainSettings } from "../../src/config/settings.ts";
import { UsageError } from "../../src/base/errors.ts";
import { arbitraryTrainSettings } from "./arbitrary.ts";

/** What `--dataset cifar10 --data_dir D` stands for: cli.md's table. */
const CIFAR10: TrainSettings = {
  dataset: "cifar10",
  data_dir: "D",
  download: false,
  image_size: 32,
  batch_size: 1024,
  num_workers: 8,
  method: "simclr",
  set: [],
  predictor_hidden: 2048,
  ema_base: 0.99,
  relic_alpha: 1,
  arch: "resnet50",
  width: 64,
  first_conv: false,
  maxpool1: false,
  hidden_mlp: 2048,
  feat_dim: 128,
  projection_final_batch_norm: true,
  manip_hidden_mlp: [512],
  n_bins: 6,
  jitter_strength: 0.5,
  p_color_jitter: 0.8,
  p_grayscale: 0.2,
  use_gaussian_blur: false,
  use_solarization: false,
  gaussian_blur_prob: 0,
  solarization_prob: 0,
  discrimination_lambda: 2,
  manip_lambda: 0,
  supervised_lambda: 1,
  stop_gradient: 1,
  temperature: 0.1,
  reinitialize_supervised_head: false,
  optimizer: "lars",
  learning_rate: 1e-3,
  weight_decay: 1e-6,
  nesterov: false,
  exclude_bn_bias: false,
  lr_scheduler: "cosine",
  warmup_epochs: 10,
  max_epochs: 1000,
  max_steps: -1,
  gpus: "auto",
  num_nodes: 1,
  fp32: false,
  precision: "auto",
  seed: 42,
  ckpt_path: "",
  results_path: "./default_model",
  comment: "",
  resume: false,
  save_every: 0,
  keep: 2,
  on_nan: "stop",
  log_every: 10,
  tf32: false,
  processes: 1,
  dist_timeout: 600,
  cuda_graph: false,
};

const STL10: TrainSettings = {
  ...CIFAR10,
  dataset: "stl10",
  image_size: 96,
  first_conv: true,
  jitter_strength: 1,
  arch: "resnet18",
  hidden_mlp: 512,
  predictor_hidden: 512,
};

/** Settings of a command line with `train` before it. */
function train(line: string): TrainSettings {
  const invocation = parseCommandLine(["train", ...line.trim().split(/\s+/)]);
  assert.equal(invocation.command, "train");
  return (invocation as { settings: TrainSettings }).settings;
}

Deno.test("settings: a data set alone has the reference's defaults", () => {
  assert.deepEqual(train("--dataset cifar10 --data_dir D"), CIFAR10);
});

Deno.test("settings: the reference's CIFAR commands", () => {
  const line =
    "--data_dir D --temperature .5 --learning_rate 4. --manip_lambda 1. --feat_dim 64 --results_path R";
  const expected: TrainSettings = {
    ...CIFAR10,
    temperature: 0.5,
    learning_rate: 4,
    manip_lambda: 1,
    feat_dim: 64,
    results_path: "R",
  };
  assert.deepEqual(train(`--dataset cifar10 --arch resnet18 ${line}`), {
    ...expected,
    arch: "resnet18",
    hidden_mlp: 512,
    predictor_hidden: 512,
  });
  assert.deepEqual(train(`--dataset cifar100 --arch resnet50 --hidden_mlp 1024 ${line}`), {
    ...expected,
    dataset: "cifar100",
    hidden_mlp: 1024,
    predictor_hidden: 1024,
  });
});

Deno.test("settings: the reference's STL-10 commands", () => {
  assert.deepEqual(
    train(`--dataset stl10 --data_dir D --arch resnet18 --temperature .2 --learning_rate 1.2 --manip_lambda .3
      --results_path R --use_solarization 1 --use_gaussian_blur 1 --batch_size 512 --gpus 2`),
    {
      ...STL10,
      temperature: 0.2,
      learning_rate: 1.2,
      manip_lambda: 0.3,
      results_path: "R",
      use_solarization: true,
      use_gaussian_blur: true,
      solarization_prob: 0.2,
      gaussian_blur_prob: 0.5,
      batch_size: 512,
      gpus: 2,
    },
  );
  assert.deepEqual(
    train(`--dataset stl10 --data_dir D --arch resnet18 --batch_size 1024 --max_epochs 100 --optimizer sgd
      --learning_rate .04 --stop_gradient 2 --reinitialize_supervised_head 1 --nesterov 1 --p_color_jitter -1
      --p_grayscale -1 --ckpt_path C --results_path R2`),
    {
      ...STL10,
      max_epochs: 100,
      optimizer: "sgd",
      learning_rate: 0.04,
      stop_gradient: 2,
      reinitialize_supervised_head: true,
      nesterov: true,
      p_color_jitter: -1,
      p_grayscale: -1,
      ckpt_path: "C",
      results_path: "R2",
    },
  );
});

Deno.test("settings: the reference's ImageNet command", () => {
  assert.deepEqual(
    train(
      `--dataset imagenet --data_dir D --arch resnet50 --temperature .1 --learning_rate 1.97 --manip_lambda .6
      --results_path R --use_solarization 1 --use_gaussian_blur 1 --batch_size 210 --gpus 8 --max_epochs 100`,
    ),
    {
      ...CIFAR10,
      dataset: "imagenet",
      image_size: 224,
      first_conv: true,
      maxpool1: true,
      jitter_strength: 1,
      learning_rate: 1.97,
      manip_lambda: 0.6,
      results_path: "R",
      use_solarization: true,
      use_gaussian_blur: true,
      solarization_prob: 0.2,
      gaussian_blur_prob: 0.5,
      batch_size: 210,
      gpus: 8,
      max_epochs: 100,
    },
  );
});

Deno.test("settings: the reference's evaluation", () => {
  const words = "eval --dataset cifar100 --data_dir D --arch resnet18 --ckpt_path C".split(" ");
  const { resume: _1, save_every: _2, keep: _3, on_nan: _4, log_every: _5, tf32: _6, ...rest } = CIFAR10;
  const { processes: _7, dist_timeout: _8, cuda_graph: _9, ...shared } = rest;
  assert.deepEqual(parseCommandLine(words), {
    command: "eval",
    given: { dataset: "cifar100", data_dir: "D", arch: "resnet18", ckpt_path: "C" },
    settings: {
      ...shared,
      dataset: "cifar100",
      arch: "resnet18",
      hidden_mlp: 512,
      predictor_hidden: 512,
      lr_scheduler: "none",
      ckpt_path: "C",
      results_path: "",
    },
    notes: [],
  });
});

Deno.test("settings: shallow encoders have a narrow projection, deep ones a wide one", () => {
  const widths = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
    .map((arch) => resolveTrain({ dataset: "cifar10", arch }).hidden_mlp);
  assert.deepEqual(widths, [512, 512, 2048, 2048, 2048]);
});

Deno.test("settings: what follows from the data set can be set all the same", () => {
  const settings = resolveTrain({
    dataset: "imagenet",
    first_conv: "0",
    maxpool1: 0,
    image_size: 128,
    gpus: "auto",
  });
  assert.deepEqual([settings.first_conv, settings.maxpool1, settings.image_size], [false, false, 128]);
});

Deno.test("settings: without a data set the demonstration's defaults hold, and flags win over them", () => {
  const settings = resolveTrain({});
  for (const [name, value] of Object.entries(DEMONSTRATION)) {
    assert.deepEqual(settings[name as keyof TrainSettings], value, name);
  }
  assert.equal(settings.hidden_mlp, 512);
  assert.equal(resolveTrain({ max_epochs: "2" }).max_epochs, 2);
  assert.equal(resolveTrain({ dataset: undefined, width: 8 }).width, 8);
  assert.equal(resolveTrain({ dataset: "shapes" }).arch, "resnet50");
  const evaluation = resolveEval({ ckpt_path: "C" });
  assert.equal(evaluation.width, DEMONSTRATION.width);
  assert.equal(evaluation.manip_lambda, 0);
});

Deno.test("settings: fp32 and precision say the same", () => {
  const given = [{ fp32: true }, { precision: "fp32" }, { fp32: "1", precision: "fp32" }, {
    precision: "bf16",
  }];
  assert.deepEqual(
    given.map((flags) => resolveTrain(flags)).map(({ fp32, precision }) => [fp32, precision]),
    [[true, "fp32"], [true, "fp32"], [true, "fp32"], [false, "bf16"]],
  );
});

Deno.test("settings: a property, they are their own flags.json", () => {
  fc.assert(fc.property(arbitraryTrainSettings(), (settings) => {
    assert.deepEqual(resolveTrain(settings), settings);
    assert.deepEqual(resolveTrain(JSON.parse(JSON.stringify(settings))), settings);
  }));
});

Deno.test("settings: a property, they can be written as a command line", () => {
  fc.assert(fc.property(arbitraryTrainSettings(), fc.boolean(), (settings, dashes) => {
    const words = toArguments(settings).map((word) =>
      dashes ? word.replace(/^--[a-z_]+/, (flag) => flag.replaceAll("_", "-")) : word
    );
    const invocation = parseCommandLine(["train", ...words]);
    assert.deepEqual((invocation as { settings: unknown }).settings, settings);
  }));
});

Deno.test("settings: the reference's switches and a probability for each view go together", () => {
  const shown = (given: GivenFlags) => {
    const { use_gaussian_blur, gaussian_blur_prob, use_solarization, solarization_prob } = resolveTrain(
      given,
    );
    return [use_gaussian_blur, gaussian_blur_prob, use_solarization, solarization_prob];
  };
  assert.deepEqual(shown({}), [false, 0, false, 0]);
  assert.deepEqual(shown({ use_gaussian_blur: 1, use_solarization: "1" }), [true, 0.5, true, 0.2]);
  assert.deepEqual(shown({ use_gaussian_blur: 0, use_solarization: 1 }), [false, 0, true, 0.2]);
  const byol = { gaussian_blur_prob: "1,0.1", solarization_prob: "0, .2" };
  assert.deepEqual(shown(byol), [true, [1, 0.1], true, [0, 0.2]]);
  assert.deepEqual(shown({ ...byol, use_gaussian_blur: 1 }), [true, [1, 0.1], true, [0, 0.2]]);
  assert.deepEqual(shown({ gaussian_blur_prob: -1 }), [false, -1, false, 0]);
  assert.deepEqual(shown({ method: "byol" }), [true, [1, 0.1], true, [0, 0.2]]);
  const given = { method: "byol", use_gaussian_blur: 0, solarization_prob: 0.3 };
  assert.deepEqual(shown(given), [false, 0, true, 0.3]);
});

const REFUSED: readonly (readonly [Record<string, unknown>, RegExp])[] = [
  [{ batch_size: "abc" }, /^Cannot use --batch_size abc: it takes a whole number of at least 2$/],
  [{ batch_size: 1 }, /--batch_size 1: /],
  [{ batch_size: "2.5" }, /--batch_size 2.5: /],
  [{ batch_size: "" }, /--batch_size "": /],
  [{ temperature: 0 }, /--temperature 0: it takes a number above 0$/],
  [{ learning_rate: "0x10" }, /--learning_rate 0x10: it takes a number of at least 0$/],
  [{ learning_rate: "Infinity" }, /--learning_rate Infinity: /],
  [{ learning_rate: "1_000" }, /--learning_rate 1_000: /],
  [{ learning_rate: -1 }, /--learning_rate -1: /],
  [{ weight_decay: null }, /--weight_decay null: /],
  [{ manip_lambda: -0.5 }, /--manip_lambda -0.5: /],
  [{ n_bins: 1 }, /--n_bins 1: it takes a whole number of at least 2$/],
  [{ stop_gradient: "3" }, /--stop_gradient 3: it takes one of 0, 1, 2$/],
  [{ nesterov: "yes" }, /--nesterov yes: it takes 0 or 1$/],
  [{ p_grayscale: 1.5 }, /--p_grayscale 1.5: it takes a number of at most 1$/],
  [
    { gaussian_blur_prob: "0.5,2" },
    /--gaussian_blur_prob 0.5,2: it takes a number of at most 1, or two, separated/,
  ],
  [{ solarization_prob: "0,0,0" }, /--solarization_prob 0,0,0: /],
  [{ solarization_prob: "" }, /--solarization_prob "": /],
  [
    { use_gaussian_blur: 0, gaussian_blur_prob: [0, 0.1] },
    /^Cannot combine --use_gaussian_blur 0 with --gaussian_blur_prob 0,0.1: leave one of them out$/,
  ],
  [{ use_solarization: true, solarization_prob: 0 }, /--use_solarization 1 with --solarization_prob 0: /],
  [{ precision: "fp8" }, /--precision fp8: it takes one of auto, fp32, bf16, fp16$/],
  [{ manip_hidden_mlp: "512,x" }, /--manip_hidden_mlp 512,x: it takes whole numbers/],
  [{ manip_hidden_mlp: "512,0" }, /--manip_hidden_mlp 512,0: /],
  [{ max_steps: 0 }, /--max_steps 0: it takes a whole number of at least 1, or -1 for no limit$/],
  [{ gpus: "all" }, /--gpus all: it takes a whole number of at least 0, or auto$/],
  [{ seed: "1e30" }, /--seed 1e30: /],
  [{ results_path: "" }, /--results_path "": it takes the path of a folder$/],
  [{ batch_sise: 4 }, /^Unknown flag --batch_sise$/],
  [{ fp32: true, precision: "bf16" }, /^Cannot combine --fp32 with --precision bf16: /],
  [
    { dataset: "cifar10", image_size: 64 },
    /--image_size 64 with --dataset cifar10, whose images are 32 pixels/,
  ],
  [{ dataset: "imagenet", download: true }, /^Cannot download --dataset imagenet: /],
  [{ stop_gradient: 2, supervised_lambda: 0 }, /--stop_gradient 2.*--supervised_lambda 0/],
  [{ dataset: "cifar10", discrimination_lambda: 0, supervised_lambda: -1 }, /at least one must be above 0$/],
];

for (const [given, message] of REFUSED) {
  Deno.test(`settings: refused are ${JSON.stringify(given)}`, () => {
    assert.throws(
      () => resolveTrain(given),
      (error) => error instanceof UsageError && message.test(error.message),
    );
  });
}

Deno.test("settings: an evaluation needs a checkpoint", () => {
  assert.throws(
    () => resolveEval({ dataset: "cifar10" }),
    /^UsageError: Cannot evaluate: --ckpt_path must name/,
  );
});

Deno.test("settings: numbers and lists are read in all their spellings", () => {
  const { learning_rate, temperature, weight_decay, manip_hidden_mlp } = resolveTrain({
    learning_rate: "4.",
    temperature: ".5",
    weight_decay: "1e-3",
    manip_hidden_mlp: "512, 256",
  });
  assert.deepEqual([learning_rate, temperature, weight_decay, manip_hidden_mlp], [4, 0.5, 1e-3, [512, 256]]);
  for (const none of ["0", "-1", 0, -1, []]) {
    assert.deepEqual(resolveTrain({ manip_hidden_mlp: none }).manip_hidden_mlp, []);
  }
  assert.deepEqual(resolveTrain({ manip_hidden_mlp: 64 }).manip_hidden_mlp, [64]);
});

Deno.test("notes: the demonstration names the defaults that were not overridden", () => {
  const [note] = notesOn("train", { max_epochs: "3" });
  assert.match(note, /^No --dataset: .*--arch resnet18 --width 16/);
  assert.doesNotMatch(note, /--max_epochs/);
});

Deno.test("notes: flags without effect are named, of either command", () => {
  const reference = { dataset: "cifar10", online_ft: true, start_lr: "0", fast_dev_run: "1" };
  assert.deepEqual(notesOn("train", reference), [
    "Without effect on train: --online_ft --fast_dev_run --start_lr",
  ]);
  assert.deepEqual(notesOn("eval", { dataset: "cifar10", ckpt_path: "C", learning_rate: 4, width: 64 }), [
    "Without effect on eval: --learning_rate",
  ]);
});

Deno.test("notes: a warm-up as long as the training is pointed out", () => {
  const [note] = notesOn("train", { dataset: "cifar10", max_epochs: 5 });
  assert.equal(note, "The learning rate only rises: --warmup_epochs 10 is not below --max_epochs 5");
  assert.deepEqual(notesOn("train", { dataset: "cifar10", max_epochs: 11 }), []);
  assert.deepEqual(notesOn("train", { dataset: "cifar10", max_epochs: 5, lr_scheduler: "none" }), []);
});

Deno.test("resolve: a method has defaults of its own, which flags replace", () => {
  for (const method of ["byol", "relic"]) {
    const { hidden_mlp, feat_dim, predictor_hidden, discrimination_lambda, ema_base } = resolveTrain({
      dataset: "cifar10",
      method,
    });
    assert.deepEqual([hidden_mlp, feat_dim, predictor_hidden], [4096, 256, 4096]);
    assert.deepEqual([discrimination_lambda, ema_base], [1, 0.99]);
  }
  const given = { dataset: "cifar10", method: "byol", hidden_mlp: 64, feat_dim: 8, discrimination_lambda: 3 };
  const { hidden_mlp, feat_dim, predictor_hidden, discrimination_lambda } = resolveTrain(given);
  assert.deepEqual([hidden_mlp, feat_dim, predictor_hidden, discrimination_lambda], [64, 8, 64, 3]);
});

Deno.test("resolve: flags of another method are accepted, with a note", () => {
  const notes = notesOn("train", { dataset: "cifar10", ema_base: "0.9", relic_alpha: 2 });
  assert.ok(notes.includes("Without effect on --method simclr: --ema_base --relic_alpha"), notes.join("\n"));
  const byol = notesOn("train", { dataset: "cifar10", method: "byol", ema_base: "0.9" });
  assert.ok(byol.every((note) => !note.includes("--method")), byol.join("\n"));
});
