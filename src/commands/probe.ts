/**
 * What a checkpoint's features are worth: a linear probe, nearest neighbours and the supervised head that learnt along,
 * side by side.
 *
 * @module
 */

import type { ProbeSettings } from "../config/settings.ts";
import type { PlainImages } from "../data/dataset.ts";
import { openImages } from "../data/open.ts";
import { tellingNotes } from "../base/errors.ts";
import { extractFeatures, type LabelledFeatures } from "../evaluation/features.ts";
import { type LinearProbeResult, tunedLinearProbe } from "../evaluation/linear_probe.ts";
import { nearestNeighbours } from "../evaluation/nearest_neighbors.ts";
import { resolveDevice, resolvePrecision } from "../machine/machine.ts";
import { writeJson } from "../files/json.ts";
import { loadModel, type StoredModel } from "../training/stored_model.ts";
import type { Progress } from "../setup/progress.ts";
import { autocast, noGrad } from "../torch/autograd.ts";
import type { DType } from "../torch/dtype.ts";
import { dispose, scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";

/** The numbers of neighbours, and the temperature of their votes: Wu et al., 2018, and a smaller number beside. */
const NEIGHBOURS = { counts: [200, 20], temperature: 0.1 } as const;

/** Test accuracies of one encoder, and what they were measured on. */
export interface ProbeResult {
  /** A linear probe's, and how it was trained. */
  readonly linear: LinearProbeResult;
  /** By the number of neighbours that vote. */
  readonly neighbours: readonly { readonly count: number; readonly accuracy: number }[];
  /** The supervised head's; null where the file has none for these classes. */
  readonly online: number | null;
  /** Width of the features. */
  readonly features: number;
  /** How many images were learnt from. */
  readonly trainImages: number;
  /** How many were tested on. */
  readonly testImages: number;
}

/** Probes a checkpoint as the settings say. Writes its flags and results where they name a folder. */
export async function probe(settings: ProbeSettings, listener: Progress): Promise<ProbeResult> {
  const progress = unrepeated(listener);
  return await tellingNotes(progress.say, (notes) => probeOn(settings, progress, notes));
}

async function probeOn(settings: ProbeSettings, progress: Progress, notes: string[]): Promise<ProbeResult> {
  const { ckpt_path, results_path, seed } = settings;
  const device = resolveDevice(settings.gpus), precision = resolvePrecision(settings.precision, device);
  const machine: Machine = { device, precision, batchSize: settings.batch_size };
  using model = loadModel(ckpt_path, device, settings.maxpool1);
  if (model.note !== null) progress.say(model.note);
  await using train = await openImages(settings, "train", notes);
  await using test = await openImages(settings, "test", notes);
  const classes = train.classes.length;
  const known = await featuresOf(train, model, machine, progress);
  const asked = await featuresOf(test, model, machine, progress);
  progress.say("Training the linear probe");
  const linear = tunedLinearProbe(known, asked, classes, { seed });
  const accuracies = nearestNeighbours(known, asked, classes, NEIGHBOURS);
  const result: ProbeResult = {
    linear,
    neighbours: NEIGHBOURS.counts.map((count, i) => ({ count, accuracy: accuracies[i] })),
    online: model.classes === classes ? onlineAccuracy(model, asked, machine) : null,
    features: known.features.shape[1],
    trainImages: known.labels.numel,
    testImages: asked.labels.numel,
  };
  dispose([...Object.values(known), ...Object.values(asked)]);
  if (results_path !== "") {
    writeJson(results_path, "probe_flags.json", settings);
    writeJson(results_path, "probe_results.json", result);
  }
  return result;
}

/** Says everything but once: the training and the test images have notes in common. */
function unrepeated(progress: Progress): Progress {
  const said = new Set<string>();
  return {
    say: (text) => said.has(text) ? undefined : (said.add(text), progress.say(text)),
    step: (text, share) => progress.step(text, share),
  };
}

/** What it is computed with. */
interface Machine {
  readonly device: string;
  /** The 16-bit type that convolutions work in; null: float32. */
  readonly precision: DType | null;
  readonly batchSize: number;
}

async function featuresOf(
  images: PlainImages,
  { encoder }: StoredModel,
  { device, precision, batchSize }: Machine,
  progress: Progress,
): Promise<LabelledFeatures> {
  const sayNotes = () => images.notes.splice(0).forEach((note) => progress.say(note));
  sayNotes();
  const encode = (batch: Tensor) => autocast(device, precision, () => encoder.forward(batch));
  const onProgress = (done: number) =>
    progress.step(`Features of ${images.count} images`, done / images.count);
  const features = await extractFeatures(images, encode, { device, batchSize, onProgress });
  // Without those that could not be decoded it has not come as far.
  onProgress(images.count);
  // Files that could not be decoded are known only now.
  sayNotes();
  return features;
}

/** What `eval` would find: the head in the same precision. */
function onlineAccuracy(
  { supervisedHead }: StoredModel,
  { features, labels }: LabelledFeatures,
  { device, precision }: Machine,
): number {
  return noGrad(() =>
    scope(() => {
      const scores = autocast(device, precision, () => supervisedHead!.forward(features));
      return scores.float().argmax(1).eq(labels).sum().item() / labels.numel;
    })
  );
}

/** The accuracies of a probe, each labelled. */
export function describeProbe(result: ProbeResult): string {
  const { linear, neighbours, online, features, trainImages, testImages } = result;
  const { weightDecay, trainAccuracy, training } = linear;
  const rows: [label: string, accuracy: number | null, remark: string][] = [
    [
      "linear probe",
      linear.accuracy,
      `weight decay ${weightDecay.toPrecision(1)}, ${training.iterations} iterations, ` +
      `${trainAccuracy.toFixed(4)} on the training images`,
    ],
    ...neighbours.map(({ count, accuracy }): [string, number, string] => [
      `k-NN, k = ${count}`,
      accuracy,
      `cosine, temperature ${NEIGHBOURS.temperature}` +
      (count > trainImages ? `; there are only ${trainImages}, which all vote` : ""),
    ]),
    [
      "online probe",
      online,
      online === null ? "the checkpoint has none for these classes" : "supervised head",
    ],
  ];
  return [
    `${features} features, ${trainImages} training and ${testImages} test images; test accuracies:`,
    ...rows.map(([label, accuracy, remark]) =>
      `  ${label.padEnd(14)}  ${accuracy?.toFixed(4) ?? "none  "}  (${remark})`
    ),
  ].join("\n");
}
