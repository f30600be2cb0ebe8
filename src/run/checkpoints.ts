/**
 * The checkpoints of a run: when they are written, which stay, and which one a run starts from.
 *
 * @module
 */

import { join } from "node:path";
import { removeLeftovers } from "../checkpoint/atomic.ts";
import type { TrainSettings } from "../config/settings.ts";
import { ALONE } from "../distributed/peers.ts";
import { messageOf } from "../errors.ts";
import { Generator } from "../torch/random.ts";
import { placeOf, type Plan } from "./plan.ts";
import { continueRun, type RunState, saveRun, startFromWeights } from "./saved_run.ts";
import { shareState } from "./shared_state.ts";
import type { Learner } from "./step.ts";

/** The newest checkpoint. */
const LAST = "last.ckpt";
/** The one with the lowest val/loss. */
const BEST = "best.ckpt";
/** Older ones. */
const OLDER = /^step-(\d+)\.ckpt$/;

/** Epochs between two looks at val/loss. */
const BEST_EVERY_EPOCHS = 10;
/** An epoch that ends sooner after the last checkpoint writes none: saving must not take longer than learning. */
const SECONDS_BETWEEN_EPOCH_SAVES = 60;

/** Writes and finds the checkpoints of a run. Of several processes that share it, only process 0 sees the files. */
export class Checkpoints {
  /** What the user should know about how the run starts. */
  readonly notes: string[] = [];
  readonly #settings: TrainSettings;
  readonly #learner: Learner;
  readonly #plan: Plan;
  #bestScore: number | null = null;
  /** Steps done when the newest checkpoint was written, and when that was. */
  #savedSteps = -1;
  #savedPath = "";
  #savedAt = performance.now();

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
    Deno.mkdirSync(results_path, { recursive: true });
    for (const name of [LAST, BEST]) removeLeftovers(join(results_path, name));
    if (resume) {
      const found = this.#resume(results_path);
      if (found !== null) return this.#continued(...found);
      this.notes.push(`Nothing to resume in ${results_path}: starting from the beginning`);
    }
    if (ckpt_path === "") return 0;
    if (stop_gradient !== 2 && !reinitialize_supervised_head) {
      return this.#continued(continueRun(ckpt_path, this.#learner), ckpt_path);
    }
    this.#startFromWeights(ckpt_path);
    return 0;
  }

  #startFromWeights(path: string): void {
    const { reinitialize_supervised_head, seed } = this.#settings;
    const passOver = reinitialize_supervised_head ? ["supervised_head"] : [];
    const fresh = startFromWeights(path, this.#learner.model, passOver);
    if (fresh.includes("supervised_head")) {
      using generator = new Generator(seed);
      this.#learner.model.reinitializeSupervisedHead(generator);
    }
    const without = fresh.length > 0 ? `, but for ${fresh.join(" and ")}, which start afresh` : "";
    this.notes.push(`Took the weights of ${path}${without}; optimiser and epochs start anew`);
  }

  #continued(state: RunState, path: string): number {
    this.#bestScore = state.bestScore;
    this.#savedSteps = state.steps;
    this.#savedPath = path;
    const place = placeOf(this.#plan, state.steps);
    this.notes.push(`Continuing after step ${state.steps}, in epoch ${place.epoch + 1}`);
    return state.steps;
  }

  /** Tries the checkpoints of a folder, the newest first. */
  #resume(folder: string): [RunState, path: string] | null {
    for (const name of [LAST, ...olderCheckpoints(folder).toReversed()]) {
      const path = join(folder, name);
      try {
        return [continueRun(path, this.#learner), path];
      } catch (error) {
        if (error instanceof Error && error.cause instanceof Deno.errors.NotFound) continue;
        this.notes.push(`Passing over ${path}: ${messageOf(error)}`);
      }
    }
    return null;
  }

  /**
   * Goes back to the newest checkpoint of this run, in all processes, and returns its number of steps.
   *
   * @throws {Error} if there is none
   */
  rollBack(): number {
    return shareState(this.#learner, this.#isFirst ? this.#loadNewest() : 0);
  }

  #loadNewest(): number {
    if (this.#savedSteps < 0) throw new Error("there is no checkpoint to go back to; see --save_every");
    const { steps, bestScore } = continueRun(this.#savedPath, this.#learner);
    this.#bestScore = bestScore;
    return steps;
  }

  /** Where the newest checkpoint is, in words. */
  get lastGood(): string {
    if (!this.#isFirst) return "rank 0 has the checkpoints";
    return this.#savedSteps < 0
      ? "no checkpoint was written"
      : `the last good checkpoint is ${this.#savedPath}`;
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
    const { keep } = this.#settings;
    if (keep > 1 && this.#savedSteps >= 0) {
      replaceByLink(this.#path(LAST), this.#path(`step-${String(this.#savedSteps).padStart(8, "0")}.ckpt`));
    }
    const { epoch } = placeOf(this.#plan, steps);
    const state = { steps, epoch, bestScore: this.#bestScore };
    saveRun(this.#path(LAST), this.#learner, this.#settings, state, learningRate);
    this.#savedSteps = steps;
    this.#savedPath = this.#path(LAST);
    this.#savedAt = performance.now();
    for (const name of olderCheckpoints(this.#settings.results_path).slice(0, -(keep - 1) || undefined)) {
      Deno.removeSync(this.#path(name));
    }
  }

  get #isFirst(): boolean {
    return (this.#learner.peers ?? ALONE).rank === 0;
  }

  #path(name: string): string {
    return join(this.#settings.results_path, name);
  }
}

/** The names of a folder's older checkpoints, the oldest first. */
function olderCheckpoints(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map((entry) => entry.name).filter((name) => OLDER.test(name)).sort();
}

/** Gives a file a second name, at once, in place of what had that name. Costs no space where links are possible. */
function replaceByLink(from: string, to: string): void {
  const temporary = `${to}.tmp-${Deno.pid}`;
  try {
    Deno.linkSync(from, temporary);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    Deno.copyFileSync(from, temporary);
  }
  Deno.renameSync(temporary, to);
}
