import assert from "node:assert/strict";
import { join } from "node:path";
import { GradScaler } from "../../src/optim/grad_scaler.ts";
import { continueRun, saveRun } from "../../src/run/saved_run.ts";
import { type Learner, trainStep } from "../../src/run/step.ts";
import { tensor } from "../../src/torch/create.ts";
import { scope } from "../../src/torch/scope.ts";
import { assertClose, img, unit } from "../golden.ts";
import { free, learnerOf, smallSettings } from "./small_learner.ts";

const SETTINGS = smallSettings();
const STATE = { scale: 1024, growth_factor: 2, backoff_factor: 0.5, growth_interval: 3, _growth_tracker: 1 };

function learner(scaler?: GradScaler): Learner {
  return learnerOf(SETTINGS, { scaler });
}

function step(own: Learner): void {
  trainStep(own, {
    toBatch: () => ({
      pairs: {
        views: img("views", [8, 3, 8, 8]).float(),
        manipulation: unit("manipulation", [4, 2, 3]).float(),
        solarized: null,
        labels: tensor([0, 1, 2, 3], { dtype: "int64" }),
      },
    }),
  }, { learningRate: 0.1, progress: 0 }).values[Symbol.dispose]();
}

Deno.test("step: with gradients scaled LARS makes the step that it makes without", () => {
  scope(() => {
    const plain = learner(), scaled = learner(new GradScaler("cpu"));
    for (let i = 0; i < 2; i++) for (const own of [plain, scaled]) step(own);
    const expected = plain.model.stateDict();
    for (const [name, value] of scaled.model.stateDict()) {
      assertClose(value, expected.get(name)!, { rtol: 1e-5, atol: 1e-7, what: name });
    }
    assert.equal(scaled.scaler!.state()._growth_tracker, 2);
    free(plain);
    free(scaled);
  });
});

Deno.test("step: a checkpoint takes the gradient scaler along, and does without one", () => {
  const folder = Deno.makeTempDirSync();
  try {
    scope(() => {
      const path = join(folder, "last.ckpt"),
        state = { steps: 1, epoch: 0, bestScore: null, stepsPerEpoch: 5 };
      const first = learner(new GradScaler("cpu")),
        second = learner(new GradScaler("cpu")),
        plain = learner();
      first.scaler!.load(STATE);
      saveRun(path, first, SETTINGS, state, 0.1);
      continueRun(path, second);
      assert.deepEqual(second.scaler!.state(), STATE);
      continueRun(path, plain);
      saveRun(path, plain, SETTINGS, state, 0.1);
      continueRun(path, first);
      assert.deepEqual(first.scaler!.state(), STATE);
      for (const own of [first, second, plain]) free(own);
    });
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
