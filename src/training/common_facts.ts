/**
 * What processes must have in common to train together.
 *
 * @module
 */

import project from "../../deno.json" with { type: "json" };
import { formatValue } from "../flag.ts";
import type { TrainSettings } from "../config/settings.ts";
import type { BatchSource } from "../data/batches.ts";
import type { Facts } from "../nn/peers.ts";
import { describeCudaDevice, gpuNumber } from "../torch/cuda.ts";
import type { DType } from "../torch/dtype.ts";

/**
 * The flags that may differ between processes: paths, which only rank 0 uses or which lead to each machine's copy, the
 * machine's resources, and `fp32`, which `precision` includes.
 */
const MAY_DIFFER: ReadonlySet<keyof TrainSettings> = new Set([
  ...["data_dir", "download", "num_workers"] as const,
  ...["results_path", "ckpt_path", "resume", "keep", "comment"] as const,
  ...["gpus", "processes", "fp32"] as const,
]);

/** The version, the flags, the data and the precision of a process. */
export function commonFacts(
  settings: TrainSettings,
  { count, classes }: Pick<BatchSource, "count" | "classes">,
  device: string,
  precision: DType | null,
): Facts {
  const flags = (Object.keys(settings) as (keyof TrainSettings)[]).filter((name) => !MAY_DIFFER.has(name));
  return {
    "the version": project.version,
    ...Object.fromEntries(flags.map((name) => [`--${name}`, formatValue(settings[name])])),
    "the number of images": `${count}`,
    "the number of classes": `${classes}`,
    "the device": gpuNumber(device) === null ? "a CPU" : "a GPU",
    "the data type of convolutions": precision ?? "float32",
  };
}

/** The UUID of a GPU, null on the CPU. */
export function gpuUuid(device: string): string | null {
  return gpuNumber(device) === null ? null : describeCudaDevice(device).uuid;
}
