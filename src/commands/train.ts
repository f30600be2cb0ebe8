/**
 * Training.
 *
 * @module
 */

import { viewRecipes } from "../augment/recipe.ts";
import type { TrainSettings } from "../config/settings.ts";
import { say } from "../config/terminal.ts";
import type { BatchPlace, BatchSource, BatchSourceOptions, Prepared } from "../data/batches.ts";
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
import { describeFault, DivergedError, faultOf, firstNonFinite } from "../training/guards.ts";
import { unlessStopped, untilStopped, yieldToSignals } from "../training/interruption.ts";
import { type Log, openLog } from "../training/log.ts";
import {
  allowTf32,
  deviceNotes,
  LAYOUT,
  machineMetrics,
  resolveDevice,
  resolvePrecision,
} from "../machine/machine.ts";
import { placeOf, planRun } from "../training/plan.ts";
import { writeJson } from "../files/json.ts";
import { type Learner, readMetrics, trainStep, validate } from "../training/step.ts";
import { type Remedy, Watch } from "../training/watch.ts";

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
  using checkpoints = new Checkpoints(settings, learner, plan);
  let steps = checkpoints.start();
  if (peers.rank === 0) writeJson(settings.results_path, "flags.json", settings);
  using log = openLog({ plan, doneSteps: steps, globalBatch, folder: settings.results_path }, peers.rank);
  for (const note of deviceNotes(settings.gpus, device, peers.size > 1)) log.note(note);
  for (const note of checkpoints.notes) log.note(note);
  log.note(`Validation (val/): ${source.validationNote}`);
  log.notes(source.notes);

  const watch = new Watch(steps, always);
  let stopped = peers.any(signal.aborted);
  while (steps < plan.totalSteps && !stopped) {
    const place = placeOf(plan, steps), learningRate = settings.learning_rate * schedule(steps);
    const pace = { learningRate, progress: steps / plan.scheduleSteps };
    const asked = performance.now();
    const prepared = await nextBatch(source, place, site, signal);
    if (prepared === null) {
      stopped = true;
      break;
    }
    const waited = performance.now() - asked;
    log.notes(source.notes);
    const careful = watch.isCareful(steps);
    const pending = watch.isSkipped(steps) ? null : trainStep(learner, prepared, pace, careful);
    steps++;
    const epochEnds = steps % plan.stepsPerEpoch === 0 || steps === plan.totalSteps;
    const logs = steps % settings.log_every === 0 || epochEnds;
    // Reading metrics waits for a GPU, so most steps do not, but for those that may be saved.
    if (pending !== null && (logs || careful || checkpoints.isDue(steps))) {
      const metrics = readMetrics(pending, "train/", peers), fault = faultOf(metrics);
      if (fault !== null) {
        const remedy = watch.judge(steps, settings.on_nan, peers.any(checkpoints.exist));
        const sentence = remedy === "look for it"
          ? `step ${steps}, or one before it, went wrong: ${fault}`
          : describeFault(fault, steps, learner, prepared);
        if (remedy === "stop") throw new DivergedError(`Stopped: ${sentence}; ${checkpoints.lastGood}`);
        steps = goBack(checkpoints, log, remedy, sentence);
        watch.passed(steps);
        continue;
      }
      watch.passed(steps);
      if (logs) {
        log.write(place, steps, {
          ...metrics,
          learning_rate: learningRate,
          ...log.speed,
          ...machineMetrics(learner),
          ...learner.reducer?.times(),
        });
      }
    } else if (pending !== null) pending.values[Symbol.dispose]();
    else if (watch.isGood(steps - 1)) watch.passed(steps);
    log.step(place, waited);
    const validation = epochEnds ? await validate(learner, source) : null;
    if (validation !== null) log.write(place, steps, validation);
    checkpoints.afterStep(steps, validation?.["val/loss"] ?? null, learningRate);
    await yieldToSignals();
    stopped = peers.any(signal.aborted);
  }
  if (!watch.isGood(steps)) refuseNonFinite(learner, steps, checkpoints);
  checkpoints.save(steps, settings.learning_rate * schedule(steps));
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

/** Waits for a batch; null if the run is asked to stop before it comes. Several processes stop after the same step. */
async function nextBatch(
  source: BatchSource,
  place: BatchPlace,
  { peers }: Site,
  signal: TrainOptions["signal"],
): Promise<Prepared | null> {
  const prepared = source.prepare(place);
  return peers.size > 1 ? await prepared : await unlessStopped(prepared, signal);
}

/** Goes back to the newest checkpoint, says so, and returns the steps that were done then. */
function goBack(checkpoints: Checkpoints, log: Log, remedy: Remedy, fault: string): number {
  const steps = checkpoints.rollBack(),
    why = remedy === "pass over" ? "to pass over a batch" : "to see where";
  log.rewind(steps);
  log.note(`Back to step ${steps}, ${why}: ${fault}`);
  return steps;
}

/** Keeps a model that went wrong in steps that were not looked at out of the checkpoints. */
function refuseNonFinite({ model }: Learner, steps: number, checkpoints: Checkpoints): void {
  const place = firstNonFinite(model, () => {});
  if (place === null) return;
  throw new DivergedError(`Stopped: after step ${steps} ${place} is not finite; ${checkpoints.lastGood}`);
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
