/**
 * The flags of every command: the one source of their names, defaults, help and checks.
 *
 * @module
 */

import { z } from "zod";
import {
  anything,
  assignments,
  choice,
  dependent,
  devices,
  file,
  flag,
  type FlagInfo,
  folder,
  formatValue,
  infoOf,
  integer,
  limit,
  nameOrModule,
  number,
  perView,
  present,
  text,
  toggle,
  whole,
  widths,
} from "../flag.ts";
import { ANY_SIZE, DATASET_NAMES, type DatasetName, DOWNLOADABLE, entryOf } from "../data/catalog.ts";
import { METHOD_FLAGS, type MethodDefaults, METHODS } from "../methods/registry.ts";
import { ARCHITECTURES } from "../nn/architectures.ts";
import type { TrainSettings } from "./settings.ts";

/** The optimizers. */
export const OPTIMIZERS = ["lars", "sgd", "adam"] as const;
/** The learning-rate schedules. */
export const SCHEDULERS = ["cosine", "none"] as const;
/** What the network computes in; `auto` is 16 bits on a GPU and 32 on a CPU. */
export const PRECISIONS = ["auto", "fp32", "bf16", "fp16"] as const;
/** What to do about a loss that is not finite. */
export const ON_NAN = ["stop", "rollback"] as const;
/** The programs and formats that an encoder is exported for. */
export const EXPORT_TARGETS = ["safetensors", "torchvision", "timm"] as const;

const DOWNLOADABLE_TITLES = new Intl.ListFormat("en-US", { type: "disjunction" })
  .format(DOWNLOADABLE.map((name) => entryOf(name).title));

function describeDataset(name: DatasetName): string {
  const { hint } = entryOf(name);
  return hint === undefined ? name : `${name} (${hint})`;
}

/**
 * The flags about the images.
 *
 * @internal
 */
export const data = {
  dataset: flag(
    choice(DATASET_NAMES),
    "shapes",
    `Images: ${DATASET_NAMES.map(describeDataset).join(", ")}`,
  ),
  data_dir: flag(folder(), ".", "Where the data lies, or is downloaded to"),
  download: flag(
    present(),
    false,
    `Fetch ${DOWNLOADABLE_TITLES} from its official address if it is not in data_dir`,
  ),
  image_size: dependent(
    whole({ min: 8 }),
    "by data set",
    `Side of the views in pixels; for ${ANY_SIZE.join(" and ")}`,
  ),
  batch_size: flag(whole({ min: 2 }), 1024, "Images in a batch, of each process: one a GPU"),
  num_workers: flag(whole({ min: 0 }), 8, "Workers that decode images"),
};

const METHOD_NAMES = Object.keys(METHODS);

/**
 * The flags that choose a method, and those that only some methods have.
 *
 * @internal
 */
export const method = {
  method: flag(
    nameOrModule(METHOD_NAMES),
    "simclr",
    `${METHOD_NAMES.join(", ")}, or the path of a module (docs/extending.md); ` +
      "each can learn from efference copies, see --manip_lambda",
  ),
  set: flag(assignments(), [], "A flag of the method's module, as name=value; may be given several times"),
  ...METHOD_FLAGS,
};

/** A default, and those of the methods that have another one, in words. */
function byMethod(name: keyof MethodDefaults, otherwise: string): string {
  const values = new Map<string, string[]>();
  for (const [method, { defaults }] of Object.entries<{ defaults: MethodDefaults }>(METHODS)) {
    const value = defaults[name];
    if (value === undefined) continue;
    const words = formatValue(value);
    values.set(words, [...values.get(words) ?? [], method]);
  }
  const others = Array.from(values, ([value, methods]) => `${value} for ${methods.join(" and ")}`);
  return [...others, otherwise].join("; ");
}

/**
 * The flags about the networks.
 *
 * @internal
 */
export const model = {
  arch: flag(choice(ARCHITECTURES), "resnet50", `Encoder: ${ARCHITECTURES.join(", ")}`),
  width: flag(whole({ min: 1 }), 64, "Channels of the encoder's first stage; less for small machines"),
  first_conv: dependent(
    toggle(),
    "by data set",
    "Stem: 1 is a 7x7 convolution with stride 2, 0 a 3x3 with stride 1",
  ),
  maxpool1: dependent(toggle(), "by data set", "Stem: max-pooling after the first convolution"),
  hidden_mlp: dependent(
    whole({ min: 1 }),
    byMethod("hidden_mlp", "else 512 for resnet18 and resnet34, 2048 for deeper ones"),
    "Hidden width of the projection",
  ),
  feat_dim: dependent(whole({ min: 1 }), byMethod("feat_dim", "else 128"), "Output width of the projection"),
  projection_final_batch_norm: flag(toggle(), true, "simclr: BatchNorm after the projection"),
  manip_hidden_mlp: flag(
    widths(),
    [512],
    "Hidden widths of the manipulation head, such as 512,256; 0 for none",
  ),
  n_bins: flag(whole({ min: 2 }), 6, "Bins for each entry of the efference copy"),
};

/**
 * The flags about the augmentation.
 *
 * @internal
 */
export const views = {
  jitter_strength: dependent(
    number({ min: 0, max: 2.5 }),
    "by data set",
    "Strength of color jitter",
  ),
  p_color_jitter: flag(number({ max: 1 }), 0.8, "Probability of color jitter; negative: off"),
  p_grayscale: flag(number({ max: 1 }), 0.2, "Probability of grayscale; negative: off"),
  use_gaussian_blur: dependent(toggle(), "by gaussian_blur_prob", "Blur views, with probability 0.5"),
  use_solarization: dependent(
    toggle(),
    "by solarization_prob",
    "Solarize views, with probability 0.2; the manipulation loss leaves them out",
  ),
  gaussian_blur_prob: dependent(
    perView(number({ max: 1 })),
    byMethod("gaussian_blur_prob", "0, or 0.5 with use_gaussian_blur"),
    "Probability of blur; two numbers, such as 1,0.1, are for view a and view b",
  ),
  solarization_prob: dependent(
    perView(number({ max: 1 })),
    byMethod("solarization_prob", "0, or 0.2 with use_solarization"),
    "Probability of solarization; two numbers, such as 0,0.2, are for view a and view b",
  ),
};

/**
 * The flags about the loss.
 *
 * @internal
 */
export const losses = {
  discrimination_lambda: dependent(
    number({ min: 0 }),
    byMethod("discrimination_lambda", "else 2"),
    "Weight of the method's own loss",
  ),
  manip_lambda: flag(
    number({ min: 0 }),
    0,
    "Weight of the manipulation loss: with more than 0, a method learns from efference copies (S-TEC)",
  ),
  supervised_lambda: flag(number(), 1, "Weight of the supervised head's loss; 0 or less: none"),
  stop_gradient: flag(
    choice([0, 1, 2]),
    1,
    "0: labels reach the encoder; 1: only the supervised head; 2: linear evaluation, the encoder is frozen",
  ),
  temperature: flag(number({ above: 0 }), 0.1, "simclr, relic: temperature of the cosines"),
  reinitialize_supervised_head: flag(
    toggle(),
    false,
    "Take only the weights from ckpt_path and start with a fresh supervised head",
  ),
};

/**
 * The flags about the optimizer and its schedule.
 *
 * @internal
 */
export const optimizer = {
  optimizer: flag(choice(OPTIMIZERS), "lars", "Optimiser"),
  learning_rate: flag(number({ min: 0 }), 1e-3, "Highest learning rate"),
  weight_decay: flag(number({ min: 0 }), 1e-6, "Weight decay"),
  nesterov: flag(toggle(), false, "Nesterov's momentum"),
  exclude_bn_bias: flag(present(), false, "No weight decay on biases and BatchNorm, for sgd and adam too"),
  lr_scheduler: flag(
    choice(SCHEDULERS),
    "cosine",
    "Schedule: warm-up, then cosine; or a constant learning rate",
  ),
  warmup_epochs: flag(whole({ min: 0 }), 10, "Epochs in which the learning rate rises from 0"),
  max_epochs: flag(whole({ min: 1 }), 1000, "Epochs to train for"),
  max_steps: flag(limit(), -1, "Steps to train for at most; -1: no limit"),
};

/**
 * The flags about the machine, the precision and the seed.
 *
 * @internal
 */
export const machine = {
  gpus: dependent(
    devices(),
    "1 where there is a GPU, else 0",
    "GPUs of this machine, with a process each; 0: CPU",
  ),
  num_nodes: flag(
    whole({ min: 1 }),
    1,
    "Machines that train together, each with a launcher such as torchrun",
  ),
  fp32: flag(present(), false, "Compute in 32 bits: --precision fp32"),
  precision: flag(
    choice(PRECISIONS),
    "auto",
    "What the network computes in; auto is 16 bits on a GPU and 32 on a CPU",
  ),
  seed: flag(integer(), 42, "Every random number follows from it: same seed, same run"),
};

/**
 * The flags about the checkpoint to start from and the results.
 *
 * @internal
 */
export const output = {
  ckpt_path: flag(text("<file>"), "", "Checkpoint to continue from, or to take the weights from"),
  results_path: flag(folder(), "./default_model", "Folder for checkpoints, logs and flags.json"),
  comment: flag(text("<text>"), "", "A remark, kept in flags.json"),
};

/**
 * The flags about the log and the checkpoints of a training run.
 *
 * @internal
 */
export const run = {
  resume: flag(
    present(),
    false,
    "Continue from the newest whole checkpoint in results_path, if there is one",
  ),
  save_every: flag(whole({ min: 0 }), 0, "Save every so many steps; 0: at the end of an epoch only"),
  keep: flag(whole({ min: 1 }), 2, "How many of the newest checkpoints stay, besides the best"),
  on_nan: flag(choice(ON_NAN), "stop", "If the loss is not finite: stop, or go back to the last checkpoint"),
  log_every: flag(whole({ min: 1 }), 10, "Steps between two entries in the log"),
  tf32: flag(present(), false, "Let a GPU round what it multiplies in float32 to TF32, which is faster"),
  processes: flag(
    whole({ min: 1 }),
    1,
    "Processes that train together on this machine's CPU; on GPUs there is one for each of --gpus",
  ),
  dist_timeout: flag(
    number({ above: 0 }),
    600,
    "Seconds after which a process that does not answer the others is given up",
  ),
  cuda_graph: flag(
    present(),
    false,
    "Record a step on the GPU once and replay it: faster where steps are short; needs more memory",
  ),
};

/** Flags of the reference's program that do nothing here. */
export type IgnoredFlag = "online_ft" | "fast_dev_run" | "gaussian_blur" | "start_lr" | "final_lr";

const ignored: Readonly<Record<IgnoredFlag, z.ZodType>> = {
  online_ft: dependent(anything(""), "", "The supervised head always learns along"),
  fast_dev_run: dependent(anything("[number]"), "", "Use --max_steps instead"),
  gaussian_blur: dependent(anything(""), "", "Use --use_gaussian_blur instead"),
  start_lr: dependent(anything("<number>"), "", "The warm-up starts at 0"),
  final_lr: dependent(anything("<number>"), "", "The schedule ends at 0"),
};

/** What `eval` sets otherwise: any batch will do, nothing is learnt, and nothing is written unless asked for. */
const evaluation = {
  batch_size: flag(whole({ min: 1 }), 1024, "Images in a batch"),
  lr_scheduler: flag(choice(SCHEDULERS), "none", "No effect"),
  ckpt_path: flag(text("<file>"), "", "Checkpoint to evaluate: needed"),
  results_path: flag(
    text("<folder>"),
    "",
    "Folder for eval_flags.json and eval_results.json; none: nothing is written",
  ),
};

/**
 * The flags of `train` in one schema.
 *
 * @internal
 */
export const trainSchema = z.strictObject({
  ...data,
  ...method,
  ...model,
  ...views,
  ...losses,
  ...optimizer,
  ...machine,
  ...output,
  ...run,
});

/**
 * The flags of `eval` in one schema.
 *
 * @internal
 */
export const evalSchema = z.strictObject({
  ...data,
  ...method,
  ...model,
  ...views,
  ...losses,
  ...optimizer,
  ...machine,
  ...output,
  ...evaluation,
});

/** What `probe` sets otherwise: the networks follow from the checkpoint. */
const probing = {
  ...evaluation,
  maxpool1: dependent(
    toggle(),
    "by data set",
    "Stem: max-pooling after the first convolution; where the checkpoint does not say",
  ),
  ckpt_path: flag(text("<file>"), "", "Checkpoint to probe: needed"),
  results_path: flag(
    text("<folder>"),
    "",
    "Folder for probe_flags.json and probe_results.json; none: nothing is written",
  ),
};

/**
 * The flags that only `preview` has.
 *
 * @internal
 */
export const previewing = {
  count: flag(whole({ min: 1 }), 6, "How many images to show"),
  output: flag(file(), "preview.html", "The page to write"),
};

/**
 * The flags that only `export` has.
 *
 * @internal
 */
export const exporting = {
  to: flag(
    choice(EXPORT_TARGETS),
    "safetensors",
    "Whom the file is for: safetensors (any width), or what torchvision's or timm's ResNet loads strictly",
  ),
  output: flag(text("<file>"), "", "The file to write: needed; a name in .safetensors makes it that form"),
};

/**
 * The flags of `probe` in one schema: it accepts those of `eval`.
 *
 * @internal
 */
export const probeSchema = evalSchema.extend(probing);

/**
 * The flags of `preview` in one schema: it accepts those of `eval` and has two of its own.
 *
 * @internal
 */
export const previewSchema = evalSchema.extend({
  ...previewing,
  maxpool1: probing.maxpool1,
  ckpt_path: flag(
    text("<file>"),
    "",
    "Checkpoint whose predictions are shown; none: only what there is to predict",
  ),
});

/**
 * The flags of `export` in one schema.
 *
 * @internal
 */
export const exportSchema = z.strictObject({
  ckpt_path: flag(text("<file>"), "", "Checkpoint to take the encoder from: needed"),
  ...exporting,
});

/** All commands, in the order of the help. */
export const COMMAND_NAMES = ["train", "eval", "probe", "preview", "export", "inspect"] as const;
/** A command by its name. */
export type CommandName = typeof COMMAND_NAMES[number];

const SCHEMAS: { readonly [K in CommandName]: z.ZodObject } = {
  train: trainSchema,
  eval: evalSchema,
  probe: probeSchema,
  preview: previewSchema,
  export: exportSchema,
  inspect: z.strictObject({}),
};

/** A flag by its name. */
export interface Flag extends FlagInfo {
  /** The name, without dashes before it. */
  readonly name: string;
}

/** Flags that belong together. */
export interface FlagSection {
  /** What they are about. */
  readonly title: string;
  /** The flags. */
  readonly flags: readonly Flag[];
  /** Whether they change what the command does; if not, they are accepted all the same. */
  readonly effective: boolean;
}

/** The sections in the order of the help, and which commands they have an effect on. */
const SECTIONS: readonly { title: string; group: z.ZodRawShape; on: readonly CommandName[] }[] = [
  { title: "Data", group: data, on: ["train", "eval", "probe", "preview"] },
  { title: "Method", group: method, on: ["train"] },
  { title: "Model", group: model, on: ["train", "eval", "probe", "preview"] },
  { title: "Objective", group: losses, on: ["train"] },
  { title: "Views", group: views, on: ["train", "preview"] },
  { title: "Optimiser", group: optimizer, on: ["train"] },
  { title: "Machine", group: machine, on: ["train", "eval", "probe", "preview"] },
  { title: "Checkpoints and results", group: output, on: ["train", "eval", "probe", "preview", "export"] },
  { title: "Output", group: { ...previewing, ...exporting }, on: ["preview", "export"] },
  { title: "Training run", group: run, on: ["train"] },
  { title: "Accepted, without effect", group: ignored, on: [] },
];

/** The flags without effect on commands that use only some of a section. */
const WITHOUT_EFFECT: { readonly [K in CommandName]?: readonly string[] } = {
  probe: [...Object.keys(model).filter((name) => name !== "maxpool1"), "num_nodes"],
  preview: [
    ...["batch_size", "num_workers"],
    ...Object.keys(model).filter((name) => name !== "maxpool1" && name !== "n_bins"),
    ...Object.keys(machine).filter((name) => name !== "seed"),
    ...["results_path", "comment"],
  ],
};

/** All flags that a command accepts, in sections; a section of which only some have an effect is two. */
export function flagSections(command: CommandName): FlagSection[] {
  const own: z.ZodRawShape = SCHEMAS[command].shape;
  const shape: z.ZodRawShape = "dataset" in own ? { ...own, ...ignored } : own;
  const isEffective = (name: string, on: readonly CommandName[]) =>
    on.includes(command) && !WITHOUT_EFFECT[command]?.includes(name);
  return SECTIONS.flatMap(({ title, group, on }) =>
    [true, false].map((effective) => ({
      title,
      flags: Object.keys(group).filter((name) => name in shape && isEffective(name, on) === effective)
        .map((name) => ({ name, ...infoOf(shape[name] as z.ZodType) })),
      effective,
    }))
  ).filter(({ flags }) => flags.length > 0);
}

/** Settings as words of a command line; reading them gives the same settings. */
export function toArguments(settings: Partial<TrainSettings>): string[] {
  const flags = new Map(
    flagSections("train").flatMap((section) => section.flags.map((flag) => [flag.name, flag])),
  );
  return Object.entries(settings).flatMap(([name, value]) => {
    if (flags.get(name)?.placeholder === "") return value ? [`--${name}`] : [];
    if (flags.get(name)?.repeats) return (value as readonly string[]).flatMap((each) => [`--${name}`, each]);
    const text = formatValue(value);
    return text === "" || text.startsWith("--") ? [`--${name}=${text}`] : [`--${name}`, text];
  });
}

/** Whether a flag is accepted without effect on any command. */
export function isIgnored(name: string): boolean {
  return name in ignored;
}
