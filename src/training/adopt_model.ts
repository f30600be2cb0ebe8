/**
 * Commands that go on from a checkpoint have its networks.
 *
 * @module
 */

import { join } from "node:path";
import { encoderIn } from "../checkpoint/encoder.ts";
import { openWeights } from "../checkpoint/weights.ts";
import { type FromCheckpoint, withModel } from "../config/command_line.ts";
import type { EvalSettings, ModelSettings, TrainSettings } from "../config/settings.ts";
import { checkpointsIn } from "./checkpoints.ts";
import { storedSettings } from "./stored_model.ts";

/** A command that may go on from a checkpoint. */
type Order = FromCheckpoint<"train", TrainSettings> | FromCheckpoint<"eval", EvalSettings>;

/**
 * The same command with the networks of the checkpoint that it goes on from: `eval` from its own, `train --resume` from the
 * newest that can be read, any other training as it is.
 *
 * @throws {UsageError} if a flag that was given contradicts the checkpoint
 */
export function adoptModel(order: Order): Order {
  const found = order.command === "eval"
    ? settingsIn(order.settings.ckpt_path)
    : order.settings.resume
    ? newestIn(order.settings.results_path)
    : null;
  return found === null ? order : withModel(order, found.settings, found.path);
}

/** What a checkpoint tells of its networks. */
interface StoredSettings {
  readonly path: string;
  readonly settings: Partial<ModelSettings>;
}

function settingsIn(path: string): StoredSettings {
  using file = openWeights(path);
  return { path, settings: storedSettings(encoderIn(path, file.stateDict), file) };
}

/** The newest checkpoint of a folder that can be read. Which of them are whole is found out later. */
function newestIn(folder: string): StoredSettings | null {
  for (const name of checkpointsIn(folder)) {
    try {
      return settingsIn(join(folder, name));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
  }
  return null;
}
