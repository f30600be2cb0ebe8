/**
 * The methods by name. Nothing here loads libtorch, so that the process that only reads flags can look methods up.
 *
 * @module
 */

import type { Method, MethodContext } from "./method.ts";
import type { SimClrSettings } from "./simclr.ts";

/** The settings of all methods together. */
export type AllMethodSettings = SimClrSettings;

/** Builds a method with fresh weights. */
export type MethodBuilder = (settings: AllMethodSettings, context: MethodContext) => Method;

/** What the program knows of a method before it is loaded. */
export interface MethodEntry {
  /** What its batches hold. */
  readonly batches: "pairs" | "labeled";
  /** Loads the method's file. */
  load(): Promise<MethodBuilder>;
}

/** The methods by their names on the command line. */
export const METHODS = {
  simclr: {
    batches: "pairs",
    load: async () => {
      const { SimClr } = await import("./simclr.ts");
      return (settings, context) => new SimClr(settings, context);
    },
  },
} as const satisfies Readonly<Record<string, MethodEntry>>;

/** The method of `--stop_gradient 2`, whatever pretrained the encoder. */
export const LINEAR_EVALUATION: MethodEntry = {
  batches: "labeled",
  load: async () => {
    const { LinearEvaluation } = await import("./linear_evaluation.ts");
    return (settings, context) => new LinearEvaluation(settings, context);
  },
};

/** The method of some settings. */
export function methodOf({ stop_gradient }: { readonly stop_gradient: 0 | 1 | 2 }): MethodEntry {
  return stop_gradient === 2 ? LINEAR_EVALUATION : METHODS.simclr;
}
