/**
 * Testing: no augmentation, everything in eval mode, top-1 accuracy over the whole test set.
 *
 * @module
 */

import { encoderIn } from "../checkpoint/encoder.ts";
import { openWeights } from "../checkpoint/weights.ts";
import type { EvalSettings } from "../config/settings.ts";
import type { PlainBatch, PlainImages } from "../data/dataset.ts";
import { openImages } from "../data/open.ts";
import { tellingNotes } from "../base/errors.ts";
import { LINEAR_EVALUATION } from "../methods/registry.ts";
import { buildModel } from "../training/build.ts";
import { LAYOUT, resolveDevice, resolvePrecision } from "../machine/machine.ts";
import { writeJson } from "../files/json.ts";
import { loadEncoder, loadWeights, partOf } from "../training/saved_run.ts";
import { refuseNonFinite, storedSettings } from "../training/stored_model.ts";
import { type Classifier, classify } from "../methods/supervised_head.ts";
import type { Method } from "../methods/method.ts";
import type { MethodBuilder } from "../methods/registry.ts";
import type { Module } from "../nn/module.ts";
import { autocast, noGrad } from "../torch/autograd.ts";
import { borrowTypedArray, fromTypedArray } from "../torch/create.ts";
import type { DType } from "../torch/dtype.ts";
import { crossEntropy } from "../torch/functional.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";

/** How well a model does on a test set. */
export interface TestResult {
  /** The share of images whose class is the highest-scored one. */
  readonly accuracy: number;
  /** Mean cross-entropy, in nats. */
  readonly loss: number;
  /** Images tested. */
  readonly count: number;
}

/** Where and in what precision a model is tested, and how many images at a time. */
export interface TestOptions {
  readonly device: string;
  readonly precision: DType | null;
  readonly batchSize: number;
}

/** Images as the encoder takes them: (n, 3, H, W), float32 in [0, 1]. */
export function toImages({ pixels, shape }: PlainBatch, device: string): Tensor {
  return scope(() => borrowTypedArray(pixels, shape).to({ device }).float().div(255));
}

/** The classes of images, (n), int64. */
export function toLabels({ labels }: PlainBatch, device: string): Tensor {
  if (labels === undefined) throw new TypeError("Cannot test on images that have no labels");
  return scope(() => fromTypedArray(labels).to({ dtype: "int64", device }));
}

/** Tests the encoder with the supervised head. */
export async function test(
  model: Classifier & Module,
  images: PlainImages,
  options: TestOptions,
): Promise<TestResult> {
  const { device, precision, batchSize } = options;
  let right = 0, loss = 0, count = 0;
  model.eval();
  for await (const batch of images.batches(batchSize)) {
    noGrad(() =>
      scope(() => {
        const target = toLabels(batch, device), inputs = toImages(batch, device);
        const scores = autocast(device, precision, () => classify(model, inputs)).float();
        right += scores.argmax(1).eq(target).sum().item();
        loss += crossEntropy(scores, target, "sum").item();
        count += batch.shape[0];
      })
    );
  }
  model.train();
  if (count === 0) throw new Error(`Cannot test on ${images.name}: there are no images`);
  return { accuracy: right / count, loss: loss / count, count };
}

/**
 * Tests a checkpoint as the settings say. Writes its flags and results where they name a folder.
 *
 * @param note is told what the user should know
 */
export async function evaluate(settings: EvalSettings, note: (text: string) => void): Promise<TestResult> {
  return await tellingNotes(note, (notes) => evaluateOn(settings, notes));
}

async function evaluateOn(settings: EvalSettings, notes: string[]): Promise<TestResult> {
  const device = resolveDevice(settings.gpus), precision = resolvePrecision(settings.precision, device);
  await using images = await openImages(settings, "test", notes);
  const build = await LINEAR_EVALUATION.load();
  using model = loadClassifier(build, settings, images, notes);
  model.to({ device, memoryFormat: LAYOUT });
  const result = await test(model, images, { device, precision, batchSize: settings.batch_size });
  if (settings.results_path !== "") {
    writeJson(settings.results_path, "eval_flags.json", settings);
    writeJson(settings.results_path, "eval_results.json", {
      "test/accuracy": result.accuracy,
      "test/loss": result.loss,
      images: result.count,
    });
  }
  return result;
}

/** The model of a checkpoint: the encoder and the supervised head, which score an image. */
function loadClassifier(
  build: MethodBuilder,
  settings: EvalSettings,
  images: PlainImages,
  notes: string[],
): Method {
  const { ckpt_path: path, seed } = settings, classes = images.classes.length;
  using file = openWeights(path);
  const found = encoderIn(path, file.stateDict), { state } = found, head = partOf(state, "supervised_head");
  if (found.note !== null) notes.push(found.note);
  const stored = head.get("linear_layer.weight")?.shape[0];
  if (stored === undefined) {
    throw new TypeError(
      `Cannot test ${path}: it has no supervised head. probe measures its features without one`,
    );
  }
  if (stored !== classes) {
    throw new TypeError(
      `Cannot test ${path} on ${images.name}: its supervised head has ${stored} classes, the images have ${classes}`,
    );
  }
  const model = buildModel(build, { ...settings, ...storedSettings(found, file) }, classes, seed);
  loadEncoder(path, model.encoder, state);
  loadWeights(path, model.supervisedHead!, head);
  for (const [name, module] of model.children()) refuseNonFinite(path, name, module);
  return model;
}
