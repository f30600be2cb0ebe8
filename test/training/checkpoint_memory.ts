/**
 * Saves and loads checkpoints whose largest tensor outweighs all else, and writes to standard output how much more
 * was resident at the peak than the model, in multiples of that tensor. Run by checkpoint_memory_test.ts in a process of its own.
 */

import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
import { readSafetensors, writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import type { StoredTensor } from "../../src/checkpoint/stored_tensor.ts";
import { loadInto, tensorSource } from "../../src/checkpoint/tensors.ts";
import { resolveTrain } from "../../src/config/resolve.ts";
import { larsGroups } from "../../src/optim/param_groups.ts";
import { Sgd } from "../../src/optim/sgd.ts";
import { LAYOUT } from "../../src/machine/machine.ts";
import { continueRun, saveRun } from "../../src/training/saved_run.ts";
import { buildModel } from "../../src/training/build.ts";
import { simClr } from "../methods/made_method.ts";
import { ones } from "../../src/torch/create.ts";
import { scope } from "../../src/torch/scope.ts";

const [folder] = Deno.args;

/** A line of /proc/self/status in bytes. */
function status(name: string): number {
  const line = Deno.readTextFileSync("/proc/self/status").split("\n").find((each) => each.startsWith(name))!;
  return 1024 * Number(/\d+/.exec(line)![0]);
}

/** Measures by how much more is resident at the peak of what runs than now, in multiples of `largest` bytes. */
function peakOver(largest: number): (body: () => void) => number {
  const before = status("VmRSS:");
  return (body) => {
    // Sets the peak (VmHWM) to what is resident now.
    Deno.writeTextFileSync("/proc/self/clear_refs", "5");
    body();
    return (status("VmHWM:") - before) / largest;
  };
}

/** A model, and an optimiser that remembers as much, of which one tensor of 8192 x 2048 is nearly everything. */
function makeLearner() {
  const settings = resolveTrain({
    ...{ dataset: "cifar10", arch: "resnet18", width: 4, gpus: 0 },
    ...{ hidden_mlp: 8192, feat_dim: 2048, manip_hidden_mlp: "16" },
  });
  const model = buildModel(simClr, settings, 4, 1).to({ memoryFormat: LAYOUT });
  const optimizer = new Sgd(larsGroups(model.namedParameters(), 1e-4), { momentum: 0.9, nesterov: false });
  for (const { parameters } of optimizer.groups) {
    for (const [name, parameter] of parameters) optimizer.state(name, parameter).momentum_buffer.fill_(1);
  }
  const learner = { model, optimizer, device: "cpu", precision: null };
  return { settings, learner, largest: 8192 * 2048 * 4 };
}

/** Three tensors in memory with the channels last, which files have row-major. */
function makeConvolutions() {
  const shape = [1024, 1024, 4, 4], largest = 1024 * 1024 * 16 * 4;
  const tensors = new Map(
    ["a", "b", "c"].map((name, i) => [name, ones(shape).mul(i).contiguous("channels_last")]),
  );
  return {
    tensors,
    sources: new Map([...tensors].map(([name, each]) => [name, tensorSource(each)])),
    largest,
  };
}

function loadAll(
  stored: ReadonlyMap<string, StoredTensor>,
  tensors: ReturnType<typeof makeConvolutions>["tensors"],
) {
  for (const [name, target] of tensors) loadInto(target, stored.get(name)!);
}

/** Loads what is needed once, so that only memory for tensors is seen. */
function warmUp(): void {
  const sources = new Map([["a", tensorSource(ones([2, 3, 4, 5]))]]);
  writeCheckpoint(`${folder}/warm.pt`, sources);
  writeSafetensors(`${folder}/warm.safetensors`, sources);
  using file = readCheckpoint(`${folder}/warm.pt`);
  using other = readSafetensors(`${folder}/warm.safetensors`);
  for (const read of [file.root as Map<string, StoredTensor>, other.tensors]) {
    scope(() => loadInto(ones([2, 3, 4, 5]).contiguous("channels_last"), read.get("a")!));
  }
}

function measureRun(): Record<string, number> {
  const { settings, learner, largest } = makeLearner(), path = `${folder}/last.ckpt`;
  using _model = learner.model, _optimizer = learner.optimizer;
  const peak = peakOver(largest);
  const state = { steps: 3, epoch: 0, bestScore: null, stepsPerEpoch: 5 };
  return {
    "saving a run": peak(() => saveRun(path, learner, settings, state, 0.1)),
    "saving it again": peak(() => saveRun(path, learner, settings, state, 0.1)),
    "continuing it": peak(() => continueRun(path, learner)),
  };
}

function measureConvolutions(): Record<string, number> {
  const { tensors, sources, largest } = makeConvolutions(), peak = peakOver(largest);
  return {
    "writing channels last": peak(() => writeCheckpoint(`${folder}/a.pt`, sources)),
    "reading channels last": peak(() => {
      using file = readCheckpoint(`${folder}/a.pt`);
      loadAll(file.root as Map<string, StoredTensor>, tensors);
    }),
    "writing safetensors": peak(() => writeSafetensors(`${folder}/a.safetensors`, sources)),
    "reading safetensors": peak(() => {
      using file = readSafetensors(`${folder}/a.safetensors`);
      loadAll(file.tensors, tensors);
    }),
  };
}

scope(warmUp);
const measured = { ...scope(measureRun), ...scope(measureConvolutions) };
Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(measured)));
