/**
 * The methods by name. Nothing here loads libtorch, so that the process that only reads flags can look methods up.
 *
 * @module
 */

import type { z } from "zod";
import { dependent, flag, number, whole } from "../flag.ts";
import type { ByolSettings } from "./byol.ts";
import type { Method, MethodContext } from "./method.ts";
import type { RelicSettings } from "./relic.ts";
import type { SimClrSettings } from "./simclr.ts";

/** The settings of all methods together. */
export type AllMethodSettings = SimClrSettings & ByolSettings & RelicSettings;

/** Builds a method with fresh weights. */
export type MethodBuilder = (settings: AllMethodSettings, context: MethodContext) => Method;

/** Flags of all methods that a method may have other defaults for. */
export interface MethodDefaults {
  /** Hidden width of the projection. */
  readonly hidden_mlp?: number;
  /** Output width of the projection. */
  readonly feat_dim?: number;
  /** Weight of the method's own loss. */
  readonly discrimination_lambda?: number;
  /** Probability of Gaussian blur, of both views or of view a and view b. */
  readonly gaussian_blur_prob?: number | readonly [a: number, b: number];
  /** Probability of solarization, of both views or of view a and view b. */
  readonly solarization_prob?: number | readonly [a: number, b: number];
}

/** What the program knows of a method before it is loaded. */
export interface MethodEntry {
  /** Its name in the help. */
  readonly title: string;
  /** What its batches hold. */
  readonly batches: "pairs" | "labeled";
  /** Its own flags, in zod's form. */
  readonly flags: z.ZodRawShape;
  /** Its defaults for flags of all methods. */
  readonly defaults: MethodDefaults;
  /**
   * Loads the method's file.
   *
   * @throws {UsageError} if a user's module cannot be used
   */
  load(): Promise<MethodBuilder>;
  /** The SHA-256 of a user's module. */
  hash?(): Promise<string>;
}

/** The flags of methods with a target network. */
const TARGET_FLAGS = {
  predictor_hidden: dependent(
    whole({ min: 1 }),
    "hidden_mlp",
    "byol, relic: hidden width of the predictor",
  ),
  ema_base: flag(
    number({ min: 0, max: 1 }),
    0.99,
    "byol, relic: share of the target network that stays after the first step; it grows to 1",
  ),
};

/** The defaults of methods with a target network. */
const TARGET_DEFAULTS: MethodDefaults = { hidden_mlp: 4096, feat_dim: 256, discrimination_lambda: 1 };

/** The methods by their names on the command line. */
export const METHODS = {
  simclr: {
    title: "SimCLR",
    batches: "pairs",
    flags: {},
    defaults: {},
    load: async () => {
      const { SimClr } = await import("./simclr.ts");
      return (settings, context) => new SimClr(settings, context);
    },
  },
  byol: {
    title: "BYOL",
    batches: "pairs",
    flags: TARGET_FLAGS,
    // The paper's appendix B: view a is always blurred, view b rarely and sometimes solarized.
    defaults: { ...TARGET_DEFAULTS, gaussian_blur_prob: [1, 0.1], solarization_prob: [0, 0.2] },
    load: async () => {
      const { Byol } = await import("./byol.ts");
      return (settings, context) => new Byol(settings, context);
    },
  },
  relic: {
    title: "ReLIC",
    batches: "pairs",
    flags: {
      ...TARGET_FLAGS,
      relic_alpha: flag(number({ min: 0 }), 1, "relic: weight of the invariance in the method's loss"),
    },
    defaults: TARGET_DEFAULTS,
    load: async () => {
      const { Relic } = await import("./relic.ts");
      return (settings, context) => new Relic(settings, context);
    },
  },
} as const satisfies Readonly<Record<string, MethodEntry>>;

/** A method of the program by its name on the command line. */
export type MethodName = keyof typeof METHODS;

type Intersection<U> = (U extends unknown ? (each: U) => void : never) extends (all: infer I) => void ? I
  : never;

/** The flags that only some methods have. */
export const METHOD_FLAGS: Intersection<typeof METHODS[MethodName]["flags"]> = Object.assign(
  {},
  ...Object.values(METHODS).map(({ flags }) => flags),
);

/** The method of `--stop_gradient 2`, whatever pretrained the encoder. */
export const LINEAR_EVALUATION: MethodEntry = {
  title: "linear evaluation",
  batches: "labeled",
  flags: {},
  defaults: {},
  load: async () => {
    const { LinearEvaluation } = await import("./linear_evaluation.ts");
    return (settings, context) => new LinearEvaluation(settings, context);
  },
};

/** The settings that choose a method. */
export interface MethodChoice {
  /** Its name. */
  readonly method: string;
  /** Values of the own flags of a user's module, each as name=value. */
  readonly set: readonly string[];
  /** 2: linear evaluation instead. */
  readonly stop_gradient: 0 | 1 | 2;
}

/** Whether the program itself has a method of this name. */
export function isMethodName(name: string): name is MethodName {
  return Object.hasOwn(METHODS, name);
}

/** The defaults of a method, empty for a user's. */
export function defaultsOf(method: string): MethodDefaults {
  return isMethodName(method) ? METHODS[method].defaults : {};
}

/** The method that settings choose. */
export function methodOf({ method, set, stop_gradient }: MethodChoice): MethodEntry {
  if (stop_gradient === 2) return LINEAR_EVALUATION;
  if (isMethodName(method)) return METHODS[method];
  return {
    ...{ title: method, batches: "pairs", flags: {}, defaults: {} },
    load: async () => (await import("./user_method.ts")).loadUserMethod(method, set),
    hash: async () => (await import("./user_method.ts")).hashUserMethod(method),
  };
}
