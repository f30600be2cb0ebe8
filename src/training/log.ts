/**
 * Everything a run tells: event files for TensorBoard, metrics as JSON lines, progress for the person who waits.
 *
 * @module
 */

import { MetricsLog } from "../log/metrics.ts";
import { ProgressWriter, standardError } from "../log/progress.ts";
import { Speedometer } from "../log/speed.ts";
import { TensorBoardWriter } from "../log/tensorboard.ts";
import type { Place, Plan } from "./plan.ts";

/** Values by the names of method.md, section 5, for instance `train/loss`. */
export type Metrics = Readonly<Record<string, number>>;

/** What the progress line shows, by the metric's name. */
const SHOWN = [
  ["loss", "train/loss"],
  ["contrast", "train/discrimination_loss"],
  ["acc", "train/contrast_accuracy"],
  ["manip", "train/manip_loss"],
  ["acc", "train/manip_accuracy"],
  ["probe", "train/supervised_accuracy"],
] as const;

/** Settings of a log. */
export interface RunLogOptions {
  readonly plan: Plan;
  /** Steps that were done before, by the run that this one continues. */
  readonly doneSteps: number;
  /** Images of a step. */
  readonly globalBatch: number;
  /** Where to write the files. */
  readonly folder: string;
}

/** The log of a training run. Steps count the optimiser steps done, from 1. */
export interface Log extends Disposable {
  /** Metrics of the machine rather than of the model. */
  readonly speed: Metrics;
  /** Counts a step that waited so many milliseconds for its data, and draws the progress. */
  step(place: Place, waited: number): void;
  /** Writes metrics. Those that the progress line shows are shown from the next step on. */
  write(place: Place, steps: number, metrics: Metrics): void;
  /** Says something that stays on the screen, once. */
  note(text: string): void;
  /** Says all sentences of a list, and takes them out of it. */
  notes(list: string[]): void;
  /** Goes back to a step: what the files hold of later ones is dropped. */
  rewind(doneSteps: number): void;
}

/** Opens the log of a run; of several processes that share it, process 0 alone tells how it goes. */
export function openLog(options: RunLogOptions, rank: number): Log {
  return rank === 0 ? new RunLog(options) : new BareLog(rank);
}

/** What another process than the first one logs: sentences on its own data, which no other process knows of. */
class BareLog implements Log {
  readonly speed: Metrics = {};
  readonly #rank: number;
  readonly #progress = new ProgressWriter(standardError());

  constructor(rank: number) {
    this.#rank = rank;
  }

  step(): void {}
  write(): void {}
  note(): void {}
  rewind(): void {}

  notes(list: string[]): void {
    for (const text of list.splice(0)) this.#progress.note(`Process ${this.#rank}: ${text}`);
  }

  [Symbol.dispose](): void {}
}

class RunLog implements Log {
  readonly #options: RunLogOptions;
  readonly #progress = new ProgressWriter(standardError());
  readonly #speed: Speedometer;
  #events: TensorBoardWriter;
  #metrics: MetricsLog;
  readonly #said = new Set<string>();
  #shown: Readonly<Record<string, number>> = {};

  /** Opens the files; what they hold of later steps than `doneSteps` is dropped. */
  constructor(options: RunLogOptions) {
    const { plan, doneSteps, globalBatch, folder } = options;
    this.#options = options;
    this.#speed = new Speedometer((plan.totalSteps - doneSteps) * globalBatch);
    this.#events = new TensorBoardWriter(folder, { purgeStep: doneSteps > 0 ? doneSteps + 1 : undefined });
    this.#metrics = new MetricsLog(`${folder}/metrics.jsonl`, { resumeStep: doneSteps });
  }

  rewind(doneSteps: number): void {
    const { folder } = this.#options;
    this.#events[Symbol.dispose]();
    this.#metrics[Symbol.dispose]();
    this.#events = new TensorBoardWriter(folder, { purgeStep: doneSteps + 1 });
    this.#metrics = new MetricsLog(`${folder}/metrics.jsonl`, { resumeStep: doneSteps });
  }

  step(place: Place, waited: number): void {
    this.#speed.step(this.#options.globalBatch, waited);
    this.#draw(place);
  }

  write(place: Place, steps: number, metrics: Metrics): void {
    this.#events.scalars(steps, metrics);
    this.#metrics.write(steps, place.epoch, metrics);
    if ("train/loss" in metrics) this.#shown = shortened(metrics);
  }

  get speed(): Metrics {
    return { images_per_second: this.#speed.imagesPerSecond, data_waiting_share: this.#speed.waitingShare };
  }

  note(text: string): void {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.#progress.note(text);
  }

  notes(list: string[]): void {
    for (const text of list.splice(0)) this.note(text);
  }

  #draw(place: Place): void {
    const { plan } = this.#options;
    this.#progress.update({
      epoch: place.epoch + 1,
      epochs: Math.ceil(plan.totalSteps / plan.stepsPerEpoch),
      step: place.step + 1,
      steps: plan.stepsPerEpoch,
      values: this.#shown,
      imagesPerSecond: this.#speed.imagesPerSecond,
      secondsLeft: this.#speed.secondsLeft,
      waitingShare: this.#speed.waitingShare,
    });
  }

  /** Ends the progress line and closes the files. */
  [Symbol.dispose](): void {
    this.#progress.finish();
    this.#events[Symbol.dispose]();
    this.#metrics[Symbol.dispose]();
  }
}

/** The progress line's values. An accuracy stands right behind its loss, so a space tells two equal names apart. */
function shortened(metrics: Metrics): Record<string, number> {
  const values: Record<string, number> = {};
  for (const [label, name] of SHOWN) {
    if (!(name in metrics)) continue;
    values[label in values ? `${label} ` : label] = metrics[name];
  }
  return values;
}
