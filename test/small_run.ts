/**
 * Settings for runs in tests.
 *
 * @module
 */

import { resolveTrain } from "../src/config/resolve.ts";
import type { TrainSettings } from "../src/config/settings.ts";

/** Settings of a run on CIFAR-10 in a folder that is small in every respect and saves after every step. */
export function small(data: string, results: string, more: Record<string, unknown> = {}): TrainSettings {
  return resolveTrain({
    dataset: "cifar10",
    data_dir: data,
    results_path: results,
    arch: "resnet18",
    width: 4,
    hidden_mlp: 16,
    feat_dim: 8,
    manip_hidden_mlp: "16",
    batch_size: 8,
    manip_lambda: 1,
    temperature: 0.5,
    warmup_epochs: 1,
    max_epochs: 3,
    learning_rate: 0.2,
    log_every: 1,
    save_every: 1,
    gpus: 0,
    first_conv: 1,
    maxpool1: 1,
    ...more,
  });
}
