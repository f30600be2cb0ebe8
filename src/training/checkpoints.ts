/**
 * The checkpoints of a run: when they are written, which stay, and which one a run starts from.
 *
 * @module
 */

import { basename, dirname, join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { removeIfThere, removeLeftovers, replaceByLink } from "../files/atomic.ts";
import { brief } from "../checkpoint/brief.ts";
import type { Plain } from "../checkpoint/lightning.ts";
import { FolderLock } from "../files/lock.ts";
import type { TrainSettings } from "../config/settings.ts";
import { ALONE } from "../nn/peers.ts";
import { Generator } from "../torch/random.ts";
import { placeOf, type Plan } from "./plan.ts";
import { continueRun, faultOfFile, isBare, type RunState, saveRun, startFromWeights } from "./saved_run.ts";
import { shareState } from "./shared_state.ts";
import type { Learner } from "./step.ts";

/** The newest checkpoint. */
const LAST = "last.ckpt";
/** The one with the lowest val/loss. */
const BEST = "best.ckpt";
/** Older ones, by the steps done. */
const OLDER = /^step-\d+\.ckpt$/;
/** Files of a run that are written beside and renamed. */
const OWN = /^((last|best|step-\d+)\.ckpt|flags\.json|metrics\.jsonl)$/;

/** Event files for TensorBoard. */
const EVENTS = /^events\.out\.tfevents\./;

/** Epochs between two looks at val/loss. */
const BEST_EVERY_EPOCHS = 10;
/** An epoch that ends sooner after the last checkpoint writes none: saving must not take longer than learning. */
const SECONDS_BETWEEN_EPOCH_SAVES = 60;

/** Writes and finds the checkpoints of a run. Of several processes that share it, only process 0 sees the files. */
export class Checkpoints implements Disposable {
  /** What the user should know about how the run starts. */
  readonly notes: string[] = [];
  readonly #settings: TrainSettings;
  readonly #learner: Learner;
  readonly #plan: Plan;
  /** Keeps other runs out of the results folder; only process 0 has it. */
  #lock: FolderLock | undefined;
  #bestScore: number | null = null;
  /** Steps done when the newest checkpoint was written, and when that was. */
  #savedSteps = -1;
  #savedPath = "";
  #savedAt = performance.now();
  /** Damaged older checkpoints, which the first new one takes the place of. */
  #damaged: readonly string[] = [];

  constructor(settings: TrainSettings, learner: Learner, plan: Plan) {
    this.#settings = settings;
    this.#learner = learner;
    this.#plan = plan;
  }

  /** Loads what the settings ask for, in all processes, and returns the number of steps that were done already. */
  start(): number {
    return shareState(this.#learner, this.#isFirst ? this.#load() : 0);
  }

  #load(): number {
    const { ckpt_path, resume, results_path, stop_gradient, reinitialize_supervised_head } = this.#settings;
    this.#lock = new FolderLock(results_path, (note) => this.notes.push(note));
    removeLeftovers(results_path, (name) => OWN.test(name));
    const earlier = checkpointsIn(results_path);
    if (resume && earlier.length > 0) return this.#resume(earlier);
    if (resume) this.notes.push(`Nothing to resume in ${results_path}: starting from the beginning`);
    const folder = earlier.length > 0 ? this.#moveAside() : null;
    if (ckpt_path === "") return 0;
    const isMoved = folder !== null && dirname(resolve(ckpt_path)) === resolve(results_path);
    const path = isMoved ? join(folder, basename(ckpt_path)) : ckpt_path;
    if (stop_gradient !== 2 && !reinitialize_supervised_head && !isBare(path)) return this.#continue(path);
    this.#startFromWeights(path);
    return 0;
  }

  /** Makes room for a new run beside the files of an earlier one, and returns the folder that has those now. */
  #moveAside(): string {
    const { results_path } = this.#settings,
      names = [...Deno.readDirSync(results_path)].map(({ name }) => name);
    let count = 1;
    while (names.includes(`earlier-${count}`)) count++;
    const folder = join(results_path, `earlier-${count}`);
    Deno.mkdirSync(folder);
    for (const name of names) {
      if (OWN.test(name) || EVENTS.test(name)) Deno.renameSync(join(results_path, name), join(folder, name));
    }
    this.notes.push(`Moved the files of an earlier run, which --resume would have continued, to ${folder}`);
    return folder;
  }

  #startFromWeights(path: string): void {
    const { reinitialize_supervised_head, seed } = this.#settings;
    const { model } = this.#learner, head = model.supervisedHead ?? null;
    const passOver = reinitialize_supervised_head && head ? [head] : [];
    const { fresh, note } = startFromWeights(path, model, passOver);
    if (note !== null) this.notes.push(note);
    if (head !== null && fresh.includes(head)) {
      using generator = new Generator(seed);
      head.reinitialize(generator);
    }
    const names = [...model.children()].filter(([, module]) => fresh.includes(module)).map(([name]) => name);
    const without = names.length > 0 ? ` except ${names.join(" and ")}, which start with fresh weights` : "";
    this.notes.push(`Took the weights of ${path}${without}; the optimizer and the epochs start anew`);
  }

  #continue(path: string): number {
    const saved = continueRun(path, this.#learner), steps = this.#adopt(saved, path);
    const { totalSteps, stepsPerEpoch } = this.#plan;
    this.notes.push(
      steps < totalSteps
        ? `Continuing after step ${steps}, in epoch ${placeOf(this.#plan, steps).epoch + 1}`
        : `Nothing is left to train after step ${steps} of ${totalSteps}`,
    );
    if (steps !== saved.steps) {
      this.notes.push(
        `An epoch has ${stepsPerEpoch} steps now, not ${saved.stepsPerEpoch}: what was step ${saved.steps} is step ${steps}`,
      );
    }
    const { methodHash = null } = this.#learner;
    if (saved.methodHash !== null && methodHash !== null && saved.methodHash !== methodHash) {
      this.notes.push(`${this.#settings.method} has changed since the checkpoint was written`);
    }
    const changes = changedSettings(saved.settings ?? {}, this.#settings);
    if (changes !== "") this.notes.push(`Going on with other settings than before: ${changes}`);
    return steps;
  }

  /** Takes over where a run was, and returns its steps: as many as lead to the same place of the same epoch now. */
  #adopt({ steps, stepsPerEpoch, bestScore }: RunState, path: string): number {
    const own = this.#plan.stepsPerEpoch;
    this.#bestScore = bestScore;
    this.#savedSteps = Math.floor(steps * own / (stepsPerEpoch ?? own));
    this.#savedPath = path;
    return this.#savedSteps;
  }

  /** Tries the checkpoints of the folder, the newest first. One that is damaged changes nothing before it is noticed. */
  #resume(names: readonly string[]): number {
    const faults: string[] = [];
    for (const name of names) {
      const path = this.#path(name), fault = faultOfFile(path);
      if (fault === null) {
        this.notes.push(...faults.map((each) => `Passing over a checkpoint: ${each}`));
        this.#damaged = names.slice(0, faults.length).filter((each) => OLDER.test(each));
        return this.#continue(path);
      }
      faults.push(fault);
    }
    throw new Error(
      `Cannot resume in ${this.#settings.results_path}: none of ${
        names.join(", ")
      } is whole. Remove them to start from ` +
        `the beginning. About the newest: ${faults[0]}`,
    );
  }

  /** Whether there is a checkpoint to go back to; only process 0 knows. */
  get exist(): boolean {
    return this.#savedSteps >= 0;
  }

  /** Goes back to the newest checkpoint of this run, in all processes, and returns its number of steps. */
  rollBack(): number {
    return shareState(this.#learner, this.#isFirst ? this.#loadNewest() : 0);
  }

  #loadNewest(): number {
    return this.#adopt(continueRun(this.#savedPath, this.#learner), this.#savedPath);
  }

  /** Where the newest checkpoint is, in words. */
  get lastGood(): string {
    if (!this.#isFirst) return "rank 0 has the checkpoints";
    return this.exist
      ? `the last good checkpoint is ${this.#savedPath}`
      : "no checkpoint was written (see --save_every)";
  }

  /** Whether a checkpoint is to be written after a step, at the end of an epoch or not. */
  isDue(steps: number): boolean {
    const { save_every } = this.#settings;
    return save_every > 0 && steps % save_every === 0;
  }

  /** Saves where a step, or the epoch that it ends, asks for it. `score` is val/loss at the end of an epoch. */
  afterStep(steps: number, score: number | null, learningRate: number): void {
    if (!this.#isFirst) return;
    const epochs = steps / this.#plan.stepsPerEpoch;
    const best = score !== null && Number.isInteger(epochs) && epochs % BEST_EVERY_EPOCHS === 0 &&
      score < (this.#bestScore ?? Infinity);
    if (best) this.#bestScore = score;
    const old = performance.now() - this.#savedAt > SECONDS_BETWEEN_EPOCH_SAVES * 1000;
    if (this.isDue(steps) || best || (score !== null && old)) this.save(steps, learningRate);
    if (best) replaceByLink(this.#path(LAST), this.#path(BEST));
  }

  /** Writes the newest checkpoint, unless it was written after this very step. */
  save(steps: number, learningRate: number): void {
    if (steps === this.#savedSteps || !this.#isFirst) return;
    const { keep, results_path } = this.#settings;
    this.#lock?.check();
    if (keep > 1 && this.#savedPath === this.#path(LAST)) {
      replaceByLink(this.#path(LAST), this.#path(`step-${String(this.#savedSteps).padStart(8, "0")}.ckpt`));
    }
    const { epoch } = placeOf(this.#plan, steps), { stepsPerEpoch } = this.#plan;
    const state = { steps, epoch, bestScore: this.#bestScore, stepsPerEpoch };
    saveRun(this.#path(LAST), this.#learner, this.#settings, state, learningRate);
    this.#savedSteps = steps;
    this.#savedPath = this.#path(LAST);
    this.#savedAt = performance.now();
    const older = checkpointsIn(results_path).filter((name) => OLDER.test(name));
    for (const name of [...this.#damaged, ...older.slice(keep - 1)]) removeIfThere(this.#path(name));
    this.#damaged = [];
  }

  /** Gives the results folder back. */
  [Symbol.dispose](): void {
    this.#lock?.[Symbol.dispose]();
    this.#lock = undefined;
  }

  get #isFirst(): boolean {
    return (this.#learner.peers ?? ALONE).rank === 0;
  }

  #path(name: string): string {
    return join(this.#settings.results_path, name);
  }
}

/** The names of a run's checkpoints in a folder, the newest first, and the best last; none if there is no such folder. */
export function checkpointsIn(folder: string): string[] {
  const names = namesIn(folder);
  const older = names.filter((name) => OLDER.test(name)).sort().reverse();
  return [...names.filter((name) => name === LAST), ...older, ...names.filter((name) => name === BEST)];
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map((entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Settings that may change without changing what is learnt. */
const IMMATERIAL = new Set(
  ("data_dir download num_workers results_path ckpt_path comment resume save_every keep on_nan log_every max_steps " +
    "fp32 gpus num_nodes processes dist_timeout cuda_graph").split(" "),
);

/** The flags that are others than before, with both values; empty if none are. */
function changedSettings(before: Readonly<Record<string, Plain>>, now: TrainSettings): string {
  const names = (Object.keys(now) as (keyof TrainSettings)[]).filter((name) => {
    const isKnown = name in before && !IMMATERIAL.has(name);
    return isKnown && !isDeepStrictEqual(before[name], now[name]);
  });
  return names.map((name) => `--${name} ${now[name]} (was ${brief(before[name])})`).join(", ");
}
