/**
 * A model that is as its checkpoint says, whatever wrote it.
 *
 * @module
 */

import { encoderIn, type FoundEncoder } from "../checkpoint/encoder.ts";
import type { Plain } from "../checkpoint/lightning.ts";
import { guessArchitecture } from "../checkpoint/names.ts";
import type { StoredTensor } from "../checkpoint/stored_tensor.ts";
import { type OpenCheckpoint, openWeights } from "../checkpoint/weights.ts";
import { model } from "../config/flags.ts";
import type { ModelSettings } from "../config/settings.ts";
import type { Module } from "../nn/module.ts";
import { ResNet } from "../nn/resnet.ts";
import { ManipulationHead } from "../methods/manipulation_head.ts";
import { SupervisedHead } from "../methods/supervised_head.ts";
import { scope } from "../torch/scope.ts";
import { LAYOUT } from "../machine/machine.ts";
import { loadEncoder, loadWeights, partOf } from "./saved_run.ts";

/** The encoder of a checkpoint, in eval mode, and the heads that the file has. */
export interface StoredModel extends Disposable {
  /** Images to features. */
  readonly encoder: ResNet;
  /** Features to class scores. */
  readonly supervisedHead: SupervisedHead | null;
  /** Two views' features to the manipulation between them. */
  readonly manipulationHead: ManipulationHead | null;
  /** Classes that the supervised head tells apart, 0 without one. */
  readonly classes: number;
  /** Optimizer steps that it was trained for, 0 where the file does not say. */
  readonly steps: number;
  /** Which encoder of the file was chosen, where that is not plain. */
  readonly note: string | null;
}

/** What heads that only predict do with a loss. */
const LEARNS_NOTHING = { supervised_lambda: 0, stop_gradient: 1, manip_lambda: 0 } as const;

/**
 * Loads the networks of a checkpoint of this program or the reference, or an encoder of torchvision's or timm's names.
 * Names and shapes tell their sizes; whether max-pooling follows the first convolution its settings, and `maxPool` where
 * it has none.
 *
 * @throws {TypeError} if the file holds no ResNet that is known here, or weights that are not finite
 */
export function loadModel(path: string, device: string, maxPool: boolean): StoredModel {
  using file = openWeights(path);
  const found = encoderIn(path, file.stateDict), { arch, width, firstConv, state, note } = found;
  const { maxpool1 = maxPool } = storedSettings(found, file);
  const encoder = new ResNet({ arch, width, firstConv, maxPool: maxpool1 });
  loadEncoder(path, encoder, state);
  const { classes, manipHidden, bins } = guessArchitecture(state), features = encoder.featureWidth;
  const load = <M extends Module>(name: string, module: M): M => {
    loadWeights(path, module, partOf(state, name));
    return module;
  };
  const supervisedHead = classes === null
    ? null
    : load("supervised_head", new SupervisedHead(features, classes, LEARNS_NOTHING, null));
  const manipulationHead = manipHidden === null || bins === null ? null : load(
    "binned_prediction_model",
    new ManipulationHead(
      features,
      { manip_hidden_mlp: manipHidden, n_bins: bins, ...LEARNS_NOTHING },
      null,
    ),
  );
  const modules = { encoder, supervised_head: supervisedHead, binned_prediction_model: manipulationHead };
  for (const [name, module] of Object.entries(modules)) {
    if (module === null) continue;
    refuseNonFinite(path, name, module);
    module.to({ device, memoryFormat: LAYOUT }).eval().requiresGrad_(false);
  }
  return {
    encoder,
    supervisedHead,
    manipulationHead,
    classes: classes ?? 0,
    steps: file.globalStep,
    note,
    [Symbol.dispose]: () => Object.values(modules).forEach((module) => module?.[Symbol.dispose]()),
  };
}

/**
 * What a checkpoint says of the networks' settings: names and shapes where they tell them, its own settings for the rest.
 * Those of other programs are not trusted to mean the same, except the max-pooling.
 */
export function storedSettings(
  { arch, width, firstConv, state }: FoundEncoder<StoredTensor>,
  { hyperParameters, stec }: Pick<OpenCheckpoint, "hyperParameters" | "stec">,
): Partial<ModelSettings> {
  const { hiddenMlp, featDim, manipHidden, bins } = guessArchitecture(state), { maxpool1 } = hyperParameters;
  const own = Object.entries(stec === null ? {} : hyperParameters).filter(([name, value]) =>
    name in model && name !== "maxpool1" && value !== null
  );
  return {
    ...Object.fromEntries(own),
    arch,
    width,
    first_conv: firstConv,
    ...(isSwitch(maxpool1) && { maxpool1: Boolean(maxpool1) }),
    ...(hiddenMlp !== null && { hidden_mlp: hiddenMlp }),
    ...(featDim !== null && {
      feat_dim: featDim,
      projection_final_batch_norm: state.has("projection.model.bn_output.weight"),
    }),
    ...(manipHidden !== null && bins !== null && { manip_hidden_mlp: manipHidden, n_bins: bins }),
  };
}

function isSwitch(value: Plain | undefined): value is boolean | 0 | 1 {
  return typeof value === "boolean" || value === 0 || value === 1;
}

/** Refuses weights and statistics that are not finite, with which every image would have the same features or none. */
export function refuseNonFinite(path: string, name: string, module: Module): void {
  for (const [tensorName, tensor] of module.stateDict(name)) {
    using all = scope(() => tensor.detach().isFinite().all());
    if (all.item() === 0) throw new TypeError(`Cannot use ${path}: ${tensorName} is not finite`);
  }
}
