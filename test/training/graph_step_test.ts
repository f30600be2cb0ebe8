import assert from "node:assert/strict";
import { join } from "node:path";
import type { OptimizerName } from "../../src/config/settings.ts";
import type { MethodName } from "../../src/methods/registry.ts";
import { UsageError } from "../../src/base/errors.ts";
import { GradScaler } from "../../src/optim/grad_scaler.ts";
import { GraphStep, replayedSteps } from "../../src/training/graph_step.ts";
import { continueRun, saveRun } from "../../src/training/saved_run.ts";
import { type Learner, readMetrics, trainStep } from "../../src/training/step.ts";
import { tensor } from "../../src/torch/create.ts";
import { scope } from "../../src/torch/scope.ts";
import { assertClose, assertNoLeak, img, unit } from "../golden.ts";
import { temporaryFolder } from "../made_data.ts";
import { FakeRecorder } from "./fake_recorder.ts";
import { free, learnerOf, smallSettings } from "./small_learner.ts";

/** Rounding differs, and a network of so few values magnifies it a thousandfold with every other step. */
const ROUNDING = { rtol: 1e-6, atol: 1e-9 };

const PACE = { learningRate: 0.1, progress: 0 };

function learner(optimizer: OptimizerName, method: MethodName = "simclr"): Learner {
  return learnerOf(smallSettings(optimizer, method), { dtype: "float64" });
}

function batch(step: number, images = 4) {
  return {
    toBatch: () => ({
      pairs: {
        views: img(`views${step}`, [2 * images, 3, 8, 8]),
        manipulation: unit(`manipulation${step}`, [images, 2, 3]),
        solarized: tensor(Array.from({ length: 2 * images }, (_, i) => (i + step) % 3 === 0 ? 1 : 0)).gt(0),
        labels: tensor(Array.from({ length: images }, (_, i) => (i + step) % 10), { dtype: "int64" }),
      },
    }),
  };
}

const LEARNERS = [["lars"], ["sgd"], ["adam"], ["lars", "byol"], ["adam", "relic"]] as const;

for (const [optimizer, method] of LEARNERS) {
  Deno.test(`graph step: ${method ?? "simclr"} with ${optimizer} learns the same by replaying one step, at each step's batch and rate`, () => {
    assertNoLeak(() =>
      scope(() => {
        const plain = learner(optimizer, method),
          own = learner(optimizer, method),
          recorder = new FakeRecorder();
        const graph = new GraphStep(own, recorder);
        for (let step = 0; step < 6; step++) {
          const pace = { learningRate: 0.01 * (step + 1), progress: step / 6 };
          const expected = readMetrics(trainStep(plain, batch(step), pace), "");
          const metrics = readMetrics(trainStep({ ...own, graph }, batch(step), pace), "");
          assert.deepEqual(Object.keys(metrics), Object.keys(expected));
          assertClose(tensor(Object.values(metrics)), tensor(Object.values(expected)), {
            ...ROUNDING,
            what: `metrics of step ${step}`,
          });
        }
        assert.deepEqual([recorder.recordings, recorder.replays], [1, 3]);
        const expected = plain.model.stateDict();
        for (const [name, value] of own.model.stateDict()) {
          assertClose(value, expected.get(name)!, { ...ROUNDING, what: name });
        }
        graph[Symbol.dispose]();
        free(plain);
        free(own);
      })
    );
  });
}

for (const optimizer of ["lars", "sgd", "adam"] as const) {
  Deno.test(`graph step: after a rollback the tensors that a recorded step of ${optimizer} uses hold the saved state`, () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "run.ckpt");
    scope(() => {
      const own = learner(optimizer), graph = new GraphStep(own, new FakeRecorder());
      const recorded = { ...own, graph }, state = { steps: 4, epoch: 0, bestScore: null, stepsPerEpoch: 10 };
      for (let step = 0; step < 4; step++) {
        trainStep(recorded, batch(step), { learningRate: 0.01, progress: step / 6 });
      }
      const tensors = [...own.optimizer.states().values()].flatMap((state) => Object.values(state));
      const values = () => tensors.map((tensor) => tensor.toNumbers());
      const saved = values();
      saveRun(path, own, smallSettings(optimizer), state, 0.01);
      for (let step = 4; step < 6; step++) {
        trainStep(recorded, batch(step), { learningRate: 0.01, progress: step / 6 });
      }
      continueRun(path, own);
      assert.deepEqual(values(), saved);
      graph[Symbol.dispose]();
      free(own);
    });
  });
}

Deno.test("graph step: a batch of another shape is refused, for the recorded step cannot read it", () => {
  scope(() => {
    const own = learner("sgd"), graph = new GraphStep(own, new FakeRecorder());
    graph.step(batch(0), PACE);
    assert.throws(
      () => graph.step(batch(1, 3), PACE),
      /^RangeError: Cannot replay a step: the batch's tensors are \[6,3,8,8\].*, the recorded step's \[8,3,8,8\]/,
    );
    graph[Symbol.dispose]();
    free(own);
  });
});

Deno.test("graph step: where nothing can be recorded, one sentence says why", () => {
  scope(() => {
    const own = learner("sgd");
    using scaler = new GradScaler("cpu");
    assert.throws(
      () => replayedSteps(own),
      new UsageError("Cannot use --cuda_graph on the CPU: only an NVIDIA GPU replays what was recorded"),
    );
    assert.throws(() => replayedSteps({ ...own, device: "cuda:0", scaler }), /--cuda_graph in float16/);
    const peers = { rank: 0, size: 2, gather: (t: typeof own.model.encoder.forward) => t } as never;
    assert.throws(() => replayedSteps({ ...own, device: "cuda:0", peers }), /--cuda_graph with 2 processes/);
    free(own);
  });
});
