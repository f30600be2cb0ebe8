/**
 * The settings of a run, inferred from the flags: every flag under its own name, checked, and with the values that
 * depend on the data set or the architecture filled in. They are plain JSON, so `flags.json`, a checkpoint's
 * hyper-parameters and the code share one form.
 *
 * @module
 */

import type { z } from "zod";
import type {
  data,
  EXPORT_TARGETS,
  exporting,
  losses,
  machine,
  method,
  model,
  ON_NAN,
  optimizer,
  OPTIMIZERS,
  output,
  PRECISIONS,
  previewing,
  run,
  views,
} from "./flags.ts";

/** The values of a group of flags; none is left to other flags any more. */
type Settings<Group> = { readonly [K in keyof Group]: Exclude<z.output<Group[K]>, undefined> };

/** An optimizer by its name on the command line. */
export type OptimizerName = typeof OPTIMIZERS[number];
/** A precision by its name on the command line. */
export type Precision = typeof PRECISIONS[number];
/** A remedy for a loss that is not finite. */
export type OnNan = typeof ON_NAN[number];
/** The program or format that an encoder is exported for. */
export type ExportTarget = typeof EXPORT_TARGETS[number];

/** Which images, from where. */
export type DataSettings = Settings<typeof data>;
/** Which method, with the flags that only some methods have. */
export type MethodSettings = Settings<typeof method>;
/** The networks. */
export type ModelSettings = Settings<typeof model>;
/** How the two views are drawn from an image. */
export type ViewSettings = Settings<typeof views>;
/** What is learned. */
export type LossSettings = Settings<typeof losses>;
/** How it is learned. */
export type OptimizerSettings = Settings<typeof optimizer>;
/** The machine, the precision and the seed. */
export type MachineSettings = Settings<typeof machine>;
/** The checkpoint to start from and the results. An empty path stands for none. */
export type OutputSettings = Settings<typeof output>;
/** How a training run is logged and survives. */
export type RunSettings = Settings<typeof run>;

/** Settings of `eval`: the flags of `train` with other defaults, without those of a training run. */
export interface EvalSettings
  extends
    DataSettings,
    MethodSettings,
    ModelSettings,
    ViewSettings,
    LossSettings,
    OptimizerSettings,
    MachineSettings,
    OutputSettings {}

/** Settings of `train`. */
export interface TrainSettings extends EvalSettings, RunSettings {}

/** Settings of `probe`: those of `eval`, but the networks are as the checkpoint has them. */
export type ProbeSettings = EvalSettings;

/** Settings of `preview`: the networks are as the checkpoint has them, if there is one. */
export interface PreviewSettings extends EvalSettings, Settings<typeof previewing> {}

/** Settings of `export`. */
export interface ExportSettings extends Pick<OutputSettings, "ckpt_path">, Settings<typeof exporting> {}

/** Settings of `inspect`. */
export interface InspectSettings {
  /** The file to show. */
  readonly file: string;
}
