/** Settings that are valid, for property tests. */

import fc from "fast-check";
import { DATASET_NAMES } from "../../src/data/catalog.ts";
import { ON_NAN, OPTIMIZERS, PRECISIONS, SCHEDULERS } from "../../src/config/flags.ts";
import type { TrainSettings } from "../../src/config/settings.ts";
import { type MethodName, METHODS } from "../../src/methods/registry.ts";
import { ARCHITECTURES } from "../../src/nn/architectures.ts";

const METHOD_NAMES = Object.keys(METHODS) as MethodName[];
const OWN_SIZES = { shapes: 32, cifar10: 32, cifar100: 32, stl10: 96 } as const;

/** A number from `min` to `max`; never -0, which text and JSON do not tell from 0. */
function number(min: number, max: number) {
  return fc.double({ min, max, noNaN: true }).map((value) => value + 0);
}

function perView(one: fc.Arbitrary<number>) {
  return fc.oneof(one, fc.tuple(one, one));
}

function isOn(probability: number | readonly number[]): boolean {
  return Math.max(...[probability].flat()) > 0;
}

const whole = (min: number) => fc.integer({ min, max: Number.MAX_SAFE_INTEGER });
const text = fc.string({ unit: "grapheme" });
const path = fc.string({ unit: "grapheme", minLength: 1 });

/** Any valid settings of `train`. */
export function arbitraryTrainSettings(): fc.Arbitrary<TrainSettings> {
  return fc.record({
    dataset: fc.constantFrom(...DATASET_NAMES),
    data_dir: path,
    download: fc.boolean(),
    image_size: whole(8),
    batch_size: whole(2),
    num_workers: whole(0),
    method: fc.constantFrom(...METHOD_NAMES),
    set: fc.constant([]),
    predictor_hidden: whole(1),
    ema_base: number(0, 1),
    relic_alpha: number(0, 1e300),
    arch: fc.constantFrom(...ARCHITECTURES),
    width: whole(1),
    first_conv: fc.boolean(),
    maxpool1: fc.boolean(),
    hidden_mlp: whole(1),
    feat_dim: whole(1),
    projection_final_batch_norm: fc.boolean(),
    manip_hidden_mlp: fc.array(whole(1), { maxLength: 4 }),
    n_bins: whole(2),
    jitter_strength: number(0, 2.5),
    p_color_jitter: number(-1, 1),
    p_grayscale: number(-1, 1),
    gaussian_blur_prob: perView(number(-1, 1)),
    solarization_prob: perView(number(-1, 1)),
    discrimination_lambda: number(Number.MIN_VALUE, 1e300),
    manip_lambda: number(0, 1e300),
    supervised_lambda: number(-1e300, 1e300),
    stop_gradient: fc.constantFrom(0 as const, 1 as const, 2 as const),
    temperature: number(Number.MIN_VALUE, 1e300),
    reinitialize_supervised_head: fc.boolean(),
    optimizer: fc.constantFrom(...OPTIMIZERS),
    learning_rate: number(0, 1e300),
    weight_decay: number(0, 1e300),
    nesterov: fc.boolean(),
    exclude_bn_bias: fc.boolean(),
    lr_scheduler: fc.constantFrom(...SCHEDULERS),
    warmup_epochs: whole(0),
    max_epochs: whole(1),
    max_steps: fc.oneof(fc.constant(-1), whole(1)),
    gpus: fc.oneof(fc.constant("auto" as const), whole(0)),
    num_nodes: whole(1),
    fp32: fc.boolean(),
    precision: fc.constantFrom(...PRECISIONS),
    seed: whole(Number.MIN_SAFE_INTEGER),
    ckpt_path: text,
    results_path: path,
    comment: text,
    resume: fc.boolean(),
    save_every: whole(0),
    keep: whole(1),
    on_nan: fc.constantFrom(...ON_NAN),
    log_every: whole(1),
    tf32: fc.boolean(),
    processes: whole(1),
    dist_timeout: fc.integer({ min: 1, max: 1_000_000 }),
    cuda_graph: fc.boolean(),
  }).map((settings) => ({
    ...settings,
    use_gaussian_blur: isOn(settings.gaussian_blur_prob),
    use_solarization: isOn(settings.solarization_prob),
    download: settings.download && ["cifar10", "cifar100", "stl10"].includes(settings.dataset),
    image_size: settings.dataset in OWN_SIZES
      ? OWN_SIZES[settings.dataset as keyof typeof OWN_SIZES]
      : settings.image_size,
    supervised_lambda: settings.stop_gradient === 2 && settings.supervised_lambda <= 0
      ? 1
      : settings.supervised_lambda,
    fp32: settings.precision === "fp32",
    gpus: settings.processes > 1 ? 0 : settings.gpus,
  }));
}
