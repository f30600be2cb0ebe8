import assert from "node:assert/strict";
import { join } from "node:path";
import { GradScaler } from "../../src/optim/grad_scaler.ts";
import { continueRun, saveRun } from "../../src/training/saved_run.ts";
import { type Learner, readMetrics, trainStep } from "../../src/training/step.ts";
import { tensor } from "../../src/torch/create.ts";
import { scope } from "../../src/torch/scope.ts";
import { assertClose, img, unit } from "../golden.ts";
import { free, learnerOf, smallSettings } from "./small_learner.ts";

const SETTINGS = smallSettings();
const STATE = { scale: 1024, growth_factor: 2, backoff_factor: 0.5, growth_interval: 3, _growth_tracker: 1 };

function learner(scaler?: GradScaler): Learner {
  return learnerOf(SETTINGS, { scaler });
}

/** Makes a step and returns its loss. */
function step(own: Learner, learningRate = 0.1): number {
  const pending = trainStep(own, {
    toBatch: () => ({
      pairs: {
        views: img("views", [8, 3, 8, 8]).float(),
        manipulation: unit("manipulation", [4, 2, 3]).float(),
        solarized: null,
        labels: tensor([0, 1, 2, 3], { dtype: "int64" }),
      },
    }),
  }, { learningRate, progress: 0 });
  return readMetrics(pending, "").loss;
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

for (const method of ["byol", "relic"] as const) {
  Deno.test(`step: float16 moves the target of ${method} after steps that were made, not after those left out`, () => {
    scope(() => {
      const scaler = new GradScaler("cpu"), own = learnerOf(smallSettings("sgd", method), { scaler });
      const target = own.model.stateDict().get("target_encoder.conv1.weight")!, before = target.toNumbers();
      scaler.load({ ...STATE, scale: 3e38 });
      step(own);
      assert.deepEqual([scaler.skipped, target.toNumbers()], [1, before]);
      scaler.load({ ...STATE, scale: 16 });
      step(own);
      assert.equal(scaler.skipped, 1);
      assert.notDeepEqual(target.toNumbers(), before);
      free(own);
    });
  });

  Deno.test(`step: ${method} in bfloat16 learns about what it learns in float32`, () => {
    scope(() => {
      const plain = learnerOf(smallSettings("sgd", method));
      const own = { ...learnerOf(smallSettings("sgd", method)), precision: "bfloat16" as const };
      const target = own.model.stateDict().get("target_encoder.conv1.weight")!, before = target.toNumbers();
      // bfloat16 keeps 8 bits, and a temperature of 0.1 magnifies what it rounds.
      for (let i = 0; i < 3; i++) {
        const [expected, found] = [plain, own].map((each) => step(each, 1e-3));
        assertClose(tensor(found), tensor(expected), { rtol: 0.05, what: `loss of step ${i}` });
      }
      assert.equal(target.dtype, "float32");
      assert.notDeepEqual(target.toNumbers(), before);
      free(plain);
      free(own);
    });
  });
}
