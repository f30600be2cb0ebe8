/**
 * Writes the encoder of a checkpoint alone, under the names that torchvision's and timm's ResNets have.
 *
 * Both call their layers as the encoder does, so a name only loses its prefix, and the unused classifier `fc` is left out. What
 * a name cannot say, the stem and the missing head, is in the metadata, with the Python lines that load the file.
 *
 * @module
 */

import type { ExportTarget } from "../config/settings.ts";
import { type Architecture, encoderShapes, EXPANSION, LAYOUTS } from "../nn/architectures.ts";
import { brief } from "../checkpoint/brief.ts";
import { encoderIn, type FoundEncoder } from "../checkpoint/encoder.ts";
import type { LightningCheckpoint } from "../checkpoint/lightning.ts";
import { writeCheckpoint } from "../checkpoint/pytorch_writer.ts";
import { writeSafetensors } from "../checkpoint/safetensors.ts";
import { openWeights } from "../checkpoint/weights.ts";
import type { TensorSource } from "../checkpoint/stored_tensor.ts";

export type { ExportTarget };

/** An encoder as it is written. */
export interface EncoderExport {
  /** The encoder's parameters and buffers under torchvision's names. */
  readonly tensors: ReadonlyMap<string, TensorSource>;
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
  using checkpoint = openWeights(from);
  const { tensors, metadata } = encoderOf(from, checkpoint, target);
  const isSafetensors = target === "safetensors" || to.endsWith(".safetensors");
  if (isSafetensors) writeSafetensors(to, tensors, metadata, temporary);
  else writeCheckpoint(to, tensors, metadata, temporary);
  return metadata;
}

/** Picks out the encoder; throws a `TypeError` where there is none, or none of the target's shape. */
export function encoderOf(
  path: string,
  checkpoint: LightningCheckpoint,
  target: ExportTarget,
): EncoderExport {
  const encoder = encoderIn(path, checkpoint.stateDict), { width, state } = encoder;
  if (target !== "safetensors" && width !== 64) {
    throw new TypeError(
      `Cannot export ${path} for ${target}: its ResNets are 64 wide, this encoder is ${width}`,
    );
  }
  const tensors = new Map<string, TensorSource>();
  for (const name of encoderShapes(encoder.arch, encoder).keys()) {
    tensors.set(name, state.get(`encoder.${name}`) ?? NO_BATCHES);
  }
  return { tensors, metadata: describeEncoder(encoder, checkpoint, target) };
}

/** BatchNorm's counter where the file has none: 0, int64. */
const NO_BATCHES: TensorSource = { dtype: "int64", shape: [], read: () => new Uint8Array(8) };

function describeEncoder(
  { arch, width, firstConv, note }: FoundEncoder<TensorSource>,
  { hyperParameters, epoch, globalStep }: LightningCheckpoint,
  target: ExportTarget,
): Record<string, string> {
  const { maxpool1 } = hyperParameters, hasPool = maxpool1 === undefined ? firstConv : Boolean(maxpool1);
  const described: Record<string, string> = {
    format: "pt",
    generator: "S-TEC",
    arch,
    stem: `${firstConv ? "7x7 convolution of stride 2" : "3x3 convolution of stride 1"}, ${
      hasPool ? "3x3 max-pooling of stride 2" : "no max-pooling"
    }`,
    maxpool1: hasPool ? "1" : "0",
    head: "none: the features are the average-pooled last stage",
    features: String(8 * width * (LAYOUTS[arch].bottleneck ? EXPANSION : 1)),
    input: "RGB in [0, 1], no mean and standard deviation taken off",
    load: loadingLines(arch, { firstConv, hasPool }, target),
    epoch: String(epoch),
    global_step: String(globalStep),
  };
  if (typeof hyperParameters.dataset === "string") described.dataset = brief(hyperParameters.dataset);
  if (note !== null) described.encoder = note;
  return described;
}

/** Python that makes the model whose `load_state_dict` then takes the tensors strictly. */
function loadingLines(
  arch: Architecture,
  { firstConv, hasPool }: { firstConv: boolean; hasPool: boolean },
  target: ExportTarget,
): string {
  const lines = target === "timm"
    ? [`model = timm.create_model("${arch}", num_classes=0)`]
    : [`model = torchvision.models.${arch}()`, "model.fc = torch.nn.Identity()"];
  if (!firstConv) {
    lines.push("model.conv1 = torch.nn.Conv2d(3, model.conv1.out_channels, 3, 1, 1, bias=False)");
  }
  if (!hasPool) lines.push("model.maxpool = torch.nn.Identity()");
  return lines.join("; ");
}
