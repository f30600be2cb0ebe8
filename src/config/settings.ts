/**
 * The settings of a run, as the code sees them: every flag under its own name, checked, and with what depends on
 * the data set or the architecture filled in. They are plain JSON, so `flags.json`, a checkpoint's
 * hyper-parameters and the code share one form.
 *
 * The flags themselves (defaults, help, checks) are in `flags.ts`.
 *
 * @module
 */

/** The data sets, by their names on the command line. */
export const DATASETS = ["shapes", "cifar10", "cifar100", "stl10", "imagenet", "folder"] as const;
/** One of {@linkcode DATASETS}. */
export type DatasetName = typeof DATASETS[number];

/** The encoders, by their names on the command line. */
export const ARCHITECTURES = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"] as const;
/** One of {@linkcode ARCHITECTURES}. */
export type Architecture = typeof ARCHITECTURES[number];

/** The optimisers. */
export const OPTIMIZERS = ["lars", "sgd", "adam"] as const;
/** One of {@linkcode OPTIMIZERS}. */
export type OptimizerName = typeof OPTIMIZERS[number];

/** The learning-rate schedules. */
export const SCHEDULERS = ["cosine", "none"] as const;
/** One of {@linkcode SCHEDULERS}. */
export type SchedulerName = typeof SCHEDULERS[number];

/** What the network computes in; `auto` is 16 bits on a GPU and 32 on a CPU. */
export const PRECISIONS = ["auto", "fp32", "bf16", "fp16"] as const;
/** One of {@linkcode PRECISIONS}. */
export type Precision = typeof PRECISIONS[number];

/** What to do about a loss that is not finite. */
export const ON_NAN = ["stop", "rollback"] as const;
/** One of {@linkcode ON_NAN}. */
export type OnNan = typeof ON_NAN[number];

/** Which images, from where. */
export interface DataSettings {
  /** The data set. */
  readonly dataset: DatasetName;
  /** The folder that holds the data, or receives it. */
  readonly data_dir: string;
  /** Fetch the data from its official address where it is not in `data_dir`. */
  readonly download: boolean;
  /** Side S of the square views, in pixels. */
  readonly image_size: number;
  /** Images in a batch, on each process. */
  readonly batch_size: number;
  /** Decoding workers. */
  readonly num_workers: number;
}

/** The networks. */
export interface ModelSettings {
  /** The encoder. */
  readonly arch: Architecture;
  /** Channels of the encoder's first stage. */
  readonly width: number;
  /** Stem: true is 7x7 with stride 2, false 3x3 with stride 1. */
  readonly first_conv: boolean;
  /** Stem: whether a 3x3 max-pooling with stride 2 follows the first convolution. */
  readonly maxpool1: boolean;
  /** Hidden width of the projection. */
  readonly hidden_mlp: number;
  /** Output width of the projection. */
  readonly feat_dim: number;
  /** Whether a BatchNorm ends the projection. */
  readonly projection_final_batch_norm: boolean;
  /** Hidden widths of the manipulation head; empty for a linear head. */
  readonly manip_hidden_mlp: readonly number[];
  /** Bins for each entry of the efference copy. */
  readonly n_bins: number;
}

/** How the two views are drawn from an image. */
export interface ViewSettings {
  /** Strength s of the colour changes. */
  readonly jitter_strength: number;
  /** Probability of the colour changes; negative: off. */
  readonly p_color_jitter: number;
  /** Probability of greyscale; negative: off. */
  readonly p_grayscale: number;
  /** Blur views at random. */
  readonly use_gaussian_blur: boolean;
  /** Solarise views at random. */
  readonly use_solarization: boolean;
}

/** What is learnt. */
export interface LossSettings {
  /** Weight of the contrastive loss. */
  readonly discrimination_lambda: number;
  /** Weight of the manipulation loss; 0 is SimCLR, more is S-TEC. */
  readonly manip_lambda: number;
  /** Weight of the supervised head's loss; 0 or less leaves it out. */
  readonly supervised_lambda: number;
  /** 0: labels reach the encoder. 1: they do not. 2: only the supervised head learns. */
  readonly stop_gradient: 0 | 1 | 2;
  /** Temperature of NT-Xent. */
  readonly temperature: number;
  /** Start with a fresh supervised head: takes only the weights from the checkpoint. */
  readonly reinitialize_supervised_head: boolean;
}

/** How it is learnt. */
export interface OptimizerSettings {
  /** The optimiser. */
  readonly optimizer: OptimizerName;
  /** The highest learning rate. */
  readonly learning_rate: number;
  /** Weight decay. */
  readonly weight_decay: number;
  /** Nesterov's momentum instead of the plain one. */
  readonly nesterov: boolean;
  /** For `sgd` and `adam`: no weight decay on biases and BatchNorm. (`lars` never has it.) */
  readonly exclude_bn_bias: boolean;
  /** The learning-rate schedule. */
  readonly lr_scheduler: SchedulerName;
  /** Epochs in which the learning rate rises from 0. */
  readonly warmup_epochs: number;
  /** Epochs to train for. */
  readonly max_epochs: number;
  /** Optimiser steps to train for at most; -1: no limit. */
  readonly max_steps: number;
}

/** What it runs on, and its random numbers. */
export interface MachineSettings {
  /** GPUs of this machine, 0 for the CPU; `auto`: 1 where there is one. */
  readonly gpus: number | "auto";
  /** Machines that work together. */
  readonly num_nodes: number;
  /** Same as `precision` being `fp32`. */
  readonly fp32: boolean;
  /** What the network computes in. */
  readonly precision: Precision;
  /** Every random number of the run follows from it. */
  readonly seed: number;
}

/** What is read at the start and what is written. */
export interface OutputSettings {
  /** The checkpoint to start from; empty: none. */
  readonly ckpt_path: string;
  /** The folder for all results; empty (evaluation only): nothing is written. */
  readonly results_path: string;
  /** A remark, kept with the settings. */
  readonly comment: string;
}

/** How a training run is logged and survives. */
export interface RunSettings {
  /** Continue from the newest whole checkpoint in `results_path`. */
  readonly resume: boolean;
  /** Steps between two checkpoints within an epoch; 0: only at the end of an epoch. */
  readonly save_every: number;
  /** How many of the newest checkpoints stay. */
  readonly keep: number;
  /** What to do about a loss that is not finite. */
  readonly on_nan: OnNan;
  /** Steps between two entries in the log. */
  readonly log_every: number;
  /** Whether a GPU may round what it multiplies in float32 to TF32. */
  readonly tf32: boolean;
  /** Processes of this machine that share each batch on the CPU. */
  readonly processes: number;
  /** Seconds after which a process that does not answer is given up. */
  readonly dist_timeout: number;
  /** Whether a step is recorded on the GPU and replayed. */
  readonly cuda_graph: boolean;
}

/** Settings of `eval`: the flags of `train` with other defaults, without what steers a training run. */
export interface EvalSettings
  extends
    DataSettings,
    ModelSettings,
    ViewSettings,
    LossSettings,
    OptimizerSettings,
    MachineSettings,
    OutputSettings {}

/** Settings of `train`. */
export interface TrainSettings extends EvalSettings, RunSettings {}

/** What a file of an encoder can be written for. */
export const EXPORT_TARGETS = ["safetensors", "torchvision", "timm"] as const;
/** One of {@linkcode EXPORT_TARGETS}. */
export type ExportTarget = typeof EXPORT_TARGETS[number];

/** Settings of `probe`: those of `eval`, but the networks are as the checkpoint has them. */
export type ProbeSettings = EvalSettings;

/** Settings of `preview`: the networks are as the checkpoint has them, if there is one. */
export interface PreviewSettings extends EvalSettings {
  /** How many images are shown. */
  readonly count: number;
  /** The page to write. */
  readonly output: string;
}

/** Settings of `export`. */
export interface ExportSettings {
  /** The checkpoint to take the encoder from. */
  readonly ckpt_path: string;
  /** Whom the file is for. */
  readonly to: ExportTarget;
  /** The file to write. */
  readonly output: string;
}

/** Settings of `inspect`. */
export interface InspectSettings {
  /** The file to show. */
  readonly file: string;
}
