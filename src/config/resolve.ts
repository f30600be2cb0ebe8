/**
 * From flags to settings: what was given, then the demonstration's or the command's defaults, then what depends
 * on the data set and the architecture; and whether all of it goes together.
 *
 * @module
 */

import { resolve } from "node:path";
import type { z } from "zod";
import { UsageError } from "../base/errors.ts";
import { ANY_SIZE, DOWNLOADABLE, entryOf } from "../data/catalog.ts";
import { LAYOUTS } from "../nn/architectures.ts";
import { formatValue, infoOf } from "../flag.ts";
import {
  defaultsOf,
  isMethodName,
  METHOD_FLAGS,
  type MethodDefaults,
  type MethodName,
  METHODS,
} from "../methods/registry.ts";
import {
  type CommandName,
  evalSchema,
  exportSchema,
  flagSections,
  type IgnoredFlag,
  isIgnored,
  previewSchema,
  probeSchema,
  toArguments,
  trainSchema,
} from "./flags.ts";
import type {
  EvalSettings,
  ExportSettings,
  InspectSettings,
  PreviewSettings,
  ProbeSettings,
  TrainSettings,
} from "./settings.ts";

/** A flag of any command. */
export type FlagName = keyof TrainSettings | keyof PreviewSettings | keyof ExportSettings | IgnoredFlag;

/** Flags as they were given, by name: values as text from a command line, or as they are in `flags.json`. */
export type GivenFlags = { readonly [K in FlagName]?: unknown };

/** What commands use instead of their defaults, of the flags that they have, when no data set is named. */
export const DEMONSTRATION: Partial<TrainSettings> = {
  dataset: "shapes",
  arch: "resnet18",
  width: 16,
  first_conv: true,
  maxpool1: true,
  feat_dim: 64,
  batch_size: 50,
  manip_lambda: 0.5,
  temperature: 0.2,
  // Shapes differ by their silhouettes: views that are mostly grey keep the network from going by colours.
  p_grayscale: 0.8,
  optimizer: "adam",
  learning_rate: 3e-3,
  warmup_epochs: 1,
  max_epochs: 12,
};

/**
 * The settings of a training run.
 *
 * @throws {UsageError} if a flag is unknown, its value is of the wrong kind, or flags contradict each other
 */
export function resolveTrain(given: GivenFlags): TrainSettings {
  const flags = parse(trainSchema, withDefaults("train", given));
  const settings: TrainSettings = { ...flags, ...fillIn(flags) };
  if (settings.stop_gradient === 2 && settings.supervised_lambda <= 0) {
    throw new UsageError(
      "Cannot train with --stop_gradient 2, where only the supervised head learns, " +
        `and --supervised_lambda ${settings.supervised_lambda}, which leaves it out`,
    );
  }
  const { discrimination_lambda, manip_lambda, supervised_lambda } = settings;
  if (discrimination_lambda === 0 && manip_lambda === 0 && supervised_lambda <= 0) {
    throw new UsageError(
      "Cannot train: discrimination_lambda, manip_lambda and supervised_lambda leave no loss; " +
        "at least one must be above 0",
    );
  }
  const { processes, gpus } = settings;
  if (processes === 1) return settings;
  if (gpus !== "auto" && gpus > 0) {
    throw new UsageError(
      `Cannot combine --processes ${processes}, which is for the CPU, with --gpus ${gpus}: leave one of them out`,
    );
  }
  return { ...settings, gpus: 0 };
}

/**
 * The settings of an evaluation.
 *
 * @throws {UsageError} as {@linkcode resolveTrain}, and if there is no checkpoint to evaluate
 */
export function resolveEval(given: GivenFlags): EvalSettings {
  const flags = parse(evalSchema, withDefaults("eval", given));
  needCheckpoint("evaluate", flags.ckpt_path);
  return { ...flags, ...fillIn(flags) };
}

/**
 * The settings of a probe.
 *
 * @throws {UsageError} as {@linkcode resolveEval}
 */
export function resolveProbe(given: GivenFlags): ProbeSettings {
  const flags = parse(probeSchema, withDefaults("probe", given));
  needCheckpoint("probe", flags.ckpt_path);
  return { ...flags, ...fillIn(flags) };
}

/**
 * The settings of a preview.
 *
 * @throws {UsageError} as {@linkcode resolveTrain}
 */
export function resolvePreview(given: GivenFlags): PreviewSettings {
  const flags = parse(previewSchema, withDefaults("preview", given));
  return { ...flags, ...fillIn(flags) };
}

/**
 * The settings of an export.
 *
 * @throws {UsageError} as {@linkcode resolveTrain}, and if there is nothing to export or nowhere to write it
 */
export function resolveExport(given: GivenFlags): ExportSettings {
  const flags = parse(exportSchema, given);
  needCheckpoint("export", flags.ckpt_path);
  if (flags.output === "") throw new UsageError("Cannot export: --output must name the file to write");
  if (resolve(flags.output) === resolve(flags.ckpt_path)) {
    throw new UsageError(`Cannot export ${flags.ckpt_path} onto itself: --output must name another file`);
  }
  return flags;
}

/**
 * The settings of an inspection, from the words of the command line.
 *
 * @throws {UsageError} if they are not one
 */
export function resolveInspect(words: readonly string[]): InspectSettings {
  if (words.length === 1 && words[0] !== "") return { file: words[0] };
  throw new UsageError(`Cannot inspect ${words.length} files: name one .ckpt, .pt or .safetensors file`);
}

function needCheckpoint(action: string, path: string): void {
  if (path === "") throw new UsageError(`Cannot ${action}: --ckpt_path must name a checkpoint`);
}

/** What a user should know about the flags that were given, one sentence each. */
export function notesOn(command: CommandName, given: GivenFlags): string[] {
  const notes: string[] = [];
  if (!hasDataset(command)) return notes;
  const isGiven = (name: string) => given[name as keyof GivenFlags] !== undefined;
  if (given.dataset === undefined) {
    const defaults = Object.entries(demonstration(command)).filter(([name]) => !isGiven(name));
    const words = toArguments(Object.fromEntries(defaults));
    notes.push(`No --dataset: this is the built-in demonstration, with ${words.join(" ")}`);
  }
  const without = flagSections(command).filter(({ effective }) => !effective)
    .flatMap(({ flags }) => flags).filter(({ name }) => isGiven(name));
  if (without.length > 0) {
    notes.push(`Without effect on ${command}: ${without.map(({ name }) => `--${name}`).join(" ")}`);
  }
  if (command === "train") {
    const foreign = foreignFlags(given).filter(isGiven);
    if (foreign.length > 0) {
      const names = foreign.map((name) => `--${name}`).join(" ");
      notes.push(`Without effect on --method ${given.method ?? "simclr"}: ${names}`);
    }
    const { lr_scheduler, warmup_epochs, max_epochs } = resolveTrain(given);
    if (lr_scheduler === "cosine" && warmup_epochs >= max_epochs) {
      notes.push(
        `The learning rate only rises: --warmup_epochs ${warmup_epochs} is not below --max_epochs ${max_epochs}`,
      );
    }
  }
  return notes;
}

/** The flags of other methods than the chosen one. */
function foreignFlags({ method = "simclr" }: GivenFlags): string[] {
  // A user's method may read any setting.
  if (!isMethodName(String(method))) return [];
  const own: z.ZodRawShape = METHODS[method as MethodName].flags;
  return Object.keys(METHOD_FLAGS).filter((name) => !(name in own));
}

function hasDataset(command: CommandName): boolean {
  return flagSections(command).some(({ flags }) => flags.some(({ name }) => name === "dataset"));
}

/** What the demonstration sets of the flags that have an effect on `command`. */
function demonstration(command: CommandName): GivenFlags {
  const names = flagSections(command).filter(({ effective }) => effective)
    .flatMap(({ flags }) => flags.map(({ name }) => name));
  return Object.fromEntries(Object.entries(DEMONSTRATION).filter(([name]) => names.includes(name)));
}

function withDefaults(command: CommandName, given: GivenFlags): GivenFlags {
  const present = Object.fromEntries(
    Object.entries(given).filter(([name, value]) => value !== undefined && !isIgnored(name)),
  );
  return present.dataset === undefined ? { ...demonstration(command), ...present } : present;
}

function parse<T extends z.ZodRawShape>(schema: z.ZodObject<T>, flags: GivenFlags): z.output<z.ZodObject<T>> {
  const result = schema.safeParse(flags);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue.code === "unrecognized_keys") throw new UsageError(`Unknown flag --${issue.keys[0]}`);
  const name = String(issue.path[0]);
  const { expected } = infoOf(schema.shape[name] as unknown as z.ZodType);
  throw new UsageError(`Cannot use --${name} ${show(flags[name as keyof GivenFlags])}: it takes ${expected}`);
}

function show(value: unknown): string {
  return typeof value === "string" && /^\S+$/.test(value) ? value : JSON.stringify(value);
}

type ParsedFlags = z.output<typeof evalSchema>;

/** What follows from other flags, where it was not given itself. */
function fillIn(flags: ParsedFlags) {
  const byDataset = entryOf(flags.dataset).defaults;
  const precision = flags.fp32 ? "fp32" : flags.precision;
  const defaults = defaultsOf(flags.method);
  const hidden_mlp = flags.hidden_mlp ?? defaults.hidden_mlp ?? (LAYOUTS[flags.arch].bottleneck ? 2048 : 512);
  refuseContradictions(flags);
  if (flags.set.length > 0 && isMethodName(flags.method)) {
    throw new UsageError(
      `Cannot use --set ${
        flags.set[0]
      } with --method ${flags.method}: it is for the flags of a module of your own`,
    );
  }
  return {
    image_size: flags.image_size ?? byDataset.image_size,
    first_conv: flags.first_conv ?? byDataset.first_conv,
    maxpool1: flags.maxpool1 ?? byDataset.maxpool1,
    jitter_strength: flags.jitter_strength ?? byDataset.jitter_strength,
    hidden_mlp,
    feat_dim: flags.feat_dim ?? defaults.feat_dim ?? 128,
    discrimination_lambda: flags.discrimination_lambda ?? defaults.discrimination_lambda ?? 2,
    predictor_hidden: flags.predictor_hidden ?? hidden_mlp,
    ...fillInViews(flags, defaults),
    gpus: flags.gpus ?? "auto",
    precision,
    fp32: precision === "fp32",
  } as const;
}

/** The probabilities of the changes that the reference has a switch for. */
const REFERENCE_PROBABILITIES = { gaussian_blur_prob: 0.5, solarization_prob: 0.2 };

/** The changes of views. A switch and a probability are two ways to ask for the same. */
function fillInViews(flags: ParsedFlags, defaults: MethodDefaults) {
  const probability = (
    name: keyof typeof REFERENCE_PROBABILITIES,
    use: "use_gaussian_blur" | "use_solarization",
  ) => {
    const isOn = flags[use], given = flags[name];
    if (given === undefined) {
      return isOn === undefined ? defaults[name] ?? 0 : isOn ? REFERENCE_PROBABILITIES[name] : 0;
    }
    if (isOn !== undefined && isOn !== isAbove0(given)) {
      throw new UsageError(
        `Cannot combine --${use} ${formatValue(isOn)} with --${name} ${
          formatValue(given)
        }: leave one of them out`,
      );
    }
    return given;
  };
  const gaussian_blur_prob = probability("gaussian_blur_prob", "use_gaussian_blur");
  const solarization_prob = probability("solarization_prob", "use_solarization");
  return {
    gaussian_blur_prob,
    solarization_prob,
    use_gaussian_blur: isAbove0(gaussian_blur_prob),
    use_solarization: isAbove0(solarization_prob),
  };
}

function isAbove0(probability: TrainSettings["gaussian_blur_prob"]): boolean {
  return [probability].flat().some((number) => number > 0);
}

function refuseContradictions({ dataset, image_size, download, fp32, precision }: ParsedFlags): void {
  if (fp32 && precision !== "auto" && precision !== "fp32") {
    throw new UsageError(`Cannot combine --fp32 with --precision ${precision}: leave one of them out`);
  }
  const ownSize = entryOf(dataset).defaults.image_size;
  if (image_size !== undefined && image_size !== ownSize && !ANY_SIZE.includes(dataset)) {
    throw new UsageError(
      `Cannot use --image_size ${image_size} with --dataset ${dataset}, whose images are ${ownSize} pixels wide: ` +
        `it is for ${ANY_SIZE.join(" and ")}`,
    );
  }
  if (download && !DOWNLOADABLE.includes(dataset)) {
    throw new UsageError(
      `Cannot download --dataset ${dataset}: --download is for ${DOWNLOADABLE.join(", ")}`,
    );
  }
}
