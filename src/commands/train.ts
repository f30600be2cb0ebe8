/**
 * Training.
 *
 * @module
 */

import { viewRecipes } from "../augment/recipe.ts";
import type { TrainSettings } from "../config/settings.ts";
import { say } from "../config/terminal.ts";
import type { BatchSource, BatchSourceOptions } from "../data/batches.ts";
import { entryOf } from "../data/catalog.ts";
import { openImages, openSource } from "../data/open.ts";
import { parallelize } from "../distributed/ddp.ts";
import type { Peers } from "../nn/peers.ts";
import { together } from "../distributed/together.ts";
import type { World } from "../distributed/world.ts";
import { test, type TestResult } from "./eval.ts";
import { tellingNotes } from "../base/errors.ts";
import { GradScaler } from "../optim/grad_scaler.ts";
import { type Baselines, measureBaselines } from "../training/baselines.ts";
import { type MethodBuilder, methodOf } from "../methods/registry.ts";
import { commonFacts, gpuUuid } from "../training/common_facts.ts";
import { buildModel, buildOptimizer, buildSchedule } from "../training/build.ts";
import { Checkpoints } from "../training/checkpoints.ts";
import { replayedSteps } from "../training/graph_step.ts";
import { untilStopped } from "../training/interruption.ts";
import { type Log, openLog } from "../training/log.ts";
import { allowTf32, deviceNotes, LAYOUT, resolveDevice, resolvePrecision } from "../machine/machine.ts";
import { placeOf, planRun } from "../training/plan.ts";
import { writeJson } from "../files/json.ts";
import type { Learner } from "../training/step.ts";
import { Faults } from "../training/faults.ts";
import { runLoop } from "../training/loop.ts";

/** How a training run ended. */
export interface TrainResult {
  /** Whether it was stopped before its end. */
  readonly interrupted: boolean;
  /** Optimiser steps done, those of runs that it continued included. */
  readonly steps: number;
  /** How the model does on the test set; null if the run was stopped or the images have no labels. */
  readonly test: TestResult | null;
  /** What linear probes reach without training, in the built-in demonstration; else null. */
  readonly baselines: Baselines | null;
}

/** Who asks a run to stop, and whom it shares its batches with. */
export interface TrainOptions {
  /** Asks to stop after the step at hand. */
  readonly signal: Pick<AbortSignal, "aborted">;
  /** This process's place among those that train together; absent where it is alone. */
  readonly world?: World | null;
  /** Whether every loss is looked at before it is learnt from; left out: on the CPU. It means to wait for a GPU. */
  readonly careful?: boolean;
}

/** What a process trains on, with whom, and what it has to say. */
interface Site {
  readonly device: string;
  readonly peers: Peers;
  readonly notes: string[];
}

/**
 * Trains as the settings say, until the end or until the signal asks to stop. Several processes do so together: all stop
 * where one is asked to, and process 0 alone logs, saves and tests.
 */
export async function train(settings: TrainSettings, options: TrainOptions): Promise<TrainResult> {
  const { world = null } = options, device = resolveDevice(settings.gpus, world?.localRank);
  allowTf32(settings.tf32, device);
  return await together(
    world,
    { timeout: settings.dist_timeout },
    (peers) =>
      tellingNotes(
        peers.rank === 0 ? say : () => {},
        (notes) => trainOn({ device, peers, notes }, settings, options),
      ),
  );
}

async function trainOn(
  site: Site,
  settings: TrainSettings,
  { signal, careful: always = site.device === "cpu" }: TrainOptions,
): Promise<TrainResult> {
  const { peers, device } = site, globalBatch = settings.batch_size * peers.size;
  const method = methodOf(settings), build = await method.load(), methodHash = await method.hash?.();
  await using source = await openSource(settings, sourceOptions(settings, site), method.batches);
  const precision = resolvePrecision(settings.precision, device);
  await peers.agree(commonFacts(settings, source, device, precision), gpuUuid(device));
  const plan = planRun({
    count: source.count,
    globalBatch,
    maxEpochs: settings.max_epochs,
    maxSteps: settings.max_steps,
    warmupEpochs: settings.warmup_epochs,
  });
  const learner = buildLearner({ build, methodHash }, settings, source, site);
  using _model = learner.model, _optimizer = learner.optimizer, _scaler = learner.scaler;
  using _reducer = learner.reducer, _graph = learner.graph;
  const schedule = buildSchedule(settings, plan);
  const rateAt = (steps: number) => settings.learning_rate * schedule(steps);
  using checkpoints = new Checkpoints(settings, learner, plan);
  const done = checkpoints.start();
  if (peers.rank === 0) writeJson(settings.results_path, "flags.json", settings);
  using log = openLog({ plan, doneSteps: done, globalBatch, folder: settings.results_path }, peers.rank);
  for (const note of deviceNotes(settings.gpus, device, peers.size > 1)) log.note(note);
  for (const note of checkpoints.notes) log.note(note);
  log.note(`Validation (val/): ${source.validationNote}`);
  log.notes(source.notes);

  const faults = new Faults({ steps: done, always, onNan: settings.on_nan, learner, checkpoints, log });
  const { steps, stopped } = await runLoop({
    plan,
    source,
    learner,
    peers,
    checkpoints,
    faults,
    log,
    rateAt,
    logEvery: settings.log_every,
    signal,
  }, done);
  faults.refuseNonFinite(steps);
  checkpoints.save(steps, rateAt(steps));
  learner.reducer?.[Symbol.dispose]();
  peers.part();
  if (stopped || peers.rank !== 0) return { interrupted: stopped, steps, test: null, baselines: null };
  const test = learner.model.supervisedHead ? await testAtEnd(settings, learner, log, signal) : null;
  if (signal.aborted) return { interrupted: true, steps, test: null, baselines: null };
  if (test !== null) {
    log.write(placeOf(plan, steps), steps, { "test/loss": test.loss, "test/accuracy": test.accuracy });
  }
  const entry = entryOf(settings.dataset), compares = entry.stored === "memory" && entry.comparesBaselines;
  const baselines = compares ? await measureBaselines(settings, device) : null;
  return { interrupted: false, steps, test, baselines };
}

function sourceOptions(settings: TrainSettings, { device, peers, notes }: Site): BatchSourceOptions {
  return {
    views: viewRecipes(settings),
    batchSize: settings.batch_size,
    seed: settings.seed,
    device,
    rank: peers.rank,
    processes: peers.size,
    notes,
  };
}

/** A method's builder, and the hash of its module if that is a user's. */
interface LoadedMethod {
  readonly build: MethodBuilder;
  readonly methodHash: string | undefined;
}

function buildLearner(
  { build, methodHash }: LoadedMethod,
  settings: TrainSettings,
  source: BatchSource,
  { device, peers }: Site,
): Learner {
  const precision = resolvePrecision(settings.precision, device);
  const model = buildModel(build, settings, source.classes, settings.seed);
  model.to({ device, memoryFormat: LAYOUT });
  const learner: Learner = {
    model,
    optimizer: buildOptimizer(settings, model.namedParameters()),
    device,
    precision,
    scaler: precision === "float16" ? new GradScaler(device) : undefined,
    peers,
    reducer: parallelize(model, model.learnedParameters(), peers),
    methodHash,
  };
  return settings.cuda_graph ? { ...learner, graph: replayedSteps(learner) } : learner;
}

async function testAtEnd(
  settings: TrainSettings,
  learner: Learner,
  log: Log,
  signal: TrainOptions["signal"],
): Promise<TestResult | null> {
  await using images = await openImages(settings, "test");
  if (images.count === 0) return null;
  const options = { ...learner, batchSize: settings.batch_size };
  const result = await test(learner.model, untilStopped(images, signal), options);
  log.notes(images.notes);
  return result;
}
