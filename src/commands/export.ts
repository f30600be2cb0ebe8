/**
 * Writes the encoder of a checkpoint alone, under the names that torchvision's and timm's ResNets have.
 *
 * Both call their layers as the encoder does, so a name only loses its prefix, and the unused classifier `fc` is left out. What
 * a name cannot say, the stem and the missing head, is in the metadata, with the Python lines that load the file.
 *
 * @module
 */

import type { ExportTarget } from "../config/settings.ts";
import { type LightningCheckpoint, parseLightning } from "../checkpoint/lightning.ts";
import { describeArchitecture, guessArchitecture, type GuessedArchitecture } from "../checkpoint/names.ts";
import { readCheckpoint } from "../checkpoint/pytorch.ts";
import { writeCheckpoint } from "../checkpoint/pytorch_writer.ts";
import { writeSafetensors } from "../checkpoint/safetensors.ts";
import type { StoredTensor } from "../checkpoint/stored_tensor.ts";

export type { ExportTarget };

/** An encoder as it is written. */
export interface EncoderExport {
  /** The encoder's parameters and buffers under torchvision's names. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** What the encoder is and how it is loaded. */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Writes the encoder of the checkpoint at `from` to `to`: as safetensors where that is the target or `to` ends in
 * `.safetensors`, else as a state dict for `torch.load`. Returns the metadata that went with it.
 *
 * @param temporary see {@linkcode writeAtomically}
 */
export function exportEncoder(
  from: string,
  target: ExportTarget,
  to: string,
  temporary?: string,
): EncoderExport["metadata"] {
  using file = readCheckpoint(from);
  const { tensors, metadata } = encoderOf(from, parseLightning(file.root, from), target);
  const isSafetensors = target === "safetensors" || to.endsWith(".safetensors");
  if (isSafetensors) writeSafetensors(to, tensors, metadata, temporary);
  else writeCheckpoint(to, tensors, metadata, temporary);
  return metadata;
}

/** Picks out the encoder; throws a `TypeError` where there is none, or none of the target's shape. */
export function encoderOf(
  path: string,
  checkpoint: LightningCheckpoint<StoredTensor>,
  target: ExportTarget,
): EncoderExport {
  const guess = guessArchitecture(checkpoint.stateDict);
  const { arch, prefix, width } = guess;
  if (arch === null) {
    throw new TypeError(`Cannot export ${path}: it seems to be ${describeArchitecture(guess)}`);
  }
  if (target !== "safetensors" && width !== 64) {
    throw new TypeError(
      `Cannot export ${path} for ${target}: its ResNets are 64 wide, this encoder is ${width}`,
    );
  }
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of checkpoint.stateDict) {
    if (!name.startsWith(prefix)) continue;
    const inner = name.slice(prefix.length);
    if (/^(conv1|bn1|layer\d+)\./.test(inner)) tensors.set(inner, tensor);
  }
  return { tensors, metadata: describeEncoder(guess, checkpoint, target) };
}

function describeEncoder(
  guess: GuessedArchitecture,
  { hyperParameters, epoch, globalStep }: LightningCheckpoint,
  target: ExportTarget,
): Record<string, string> {
  const isLarge = guess.stem === 7;
  const maxPool = hyperParameters.maxpool1;
  const hasPool = maxPool === undefined ? isLarge : Boolean(maxPool);
  const described: Record<string, string> = {
    format: "pt",
    generator: "S-TEC",
    arch: guess.arch!,
    stem: `${isLarge ? "7x7 convolution of stride 2" : "3x3 convolution of stride 1"}, ${
      hasPool ? "3x3 max-pooling of stride 2" : "no max-pooling"
    }`,
    head: "none: the features are the average-pooled last stage",
    features: String(guess.featureWidth),
    input: "RGB in [0, 1], no mean and standard deviation taken off",
    load: loadingLines(guess, hasPool, target),
    epoch: String(epoch),
    global_step: String(globalStep),
  };
  if (typeof hyperParameters.dataset === "string") described.dataset = hyperParameters.dataset;
  return described;
}

/** Python that makes the model whose `load_state_dict` then takes the tensors strictly. */
function loadingLines({ arch, stem }: GuessedArchitecture, hasPool: boolean, target: ExportTarget): string {
  const lines = target === "timm"
    ? [`model = timm.create_model("${arch}", num_classes=0)`]
    : [`model = torchvision.models.${arch}()`, "model.fc = torch.nn.Identity()"];
  if (stem !== 7) {
    lines.push("model.conv1 = torch.nn.Conv2d(3, model.conv1.out_channels, 3, 1, 1, bias=False)");
  }
  if (!hasPool) lines.push("model.maxpool = torch.nn.Identity()");
  return lines.join("; ");
}
