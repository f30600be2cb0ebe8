import { GraphStep, replayedSteps } from "../../src/training/graph_step.ts";
import type { Learner } from "../../src/training/step.ts";
import { tensor } from "../../src/torch/create.ts";
import { gpuNumber } from "../../src/torch/cuda.ts";
import { scope } from "../../src/torch/scope.ts";
import { assertClose } from "../golden.ts";
import { FakeRecorder } from "../training/fake_recorder.ts";
import { FLOAT64, free, learner, norms, OPTIMIZERS, SLOW, step } from "./golden_steps.ts";
import { gpuTest } from "./gpu.ts";

/** The steps before the recording, the recorded one, and two more with other batches and rates. */
const STEPS = 6;
/** More steps than elsewhere magnify rounding more. */
const ROUNDING = { rtol: 1e3 * FLOAT64.rtol, atol: 1e-7 };

function stepsOf(own: Learner, device: string): GraphStep {
  return gpuNumber(device) === null ? new GraphStep(own, new FakeRecorder()) : replayedSteps(own);
}

for (const [tag, { lr }] of Object.entries(OPTIMIZERS)) {
  gpuTest(`graph steps on a GPU: ${tag} learns by replaying a step what it learns without`, (device) => {
    scope(() => {
      const [plain, own] = [0, 1].map(() => learner(tag, device, { dtype: "float64" }));
      const graph = gpuNumber(device) === null ? new GraphStep(own, new FakeRecorder()) : replayedSteps(own);
      for (let i = 0; i < STEPS; i++) {
        const rate = lr * (i + 1) / STEPS / 10;
        const expected = step(plain, i, rate), metrics = step({ ...own, graph }, i, rate);
        const losses = (of: typeof metrics) => tensor([of.loss, of.manip_loss], { dtype: "float64" });
        assertClose(losses(metrics), losses(expected), { ...ROUNDING, what: `losses of step ${i}` });
        assertClose(norms(own.model), norms(plain.model), {
          ...ROUNDING,
          what: `parameters after step ${i}`,
        });
      }
      graph[Symbol.dispose]();
      free(plain);
      free(own);
    });
  });
}

gpuTest("graph steps on a GPU: bfloat16 learns what float32 does without", (device) => {
  scope(() => {
    const plain = learner("sgd", device), own = learner("sgd", device, { precision: "bfloat16" });
    const graph = stepsOf(own, device);
    for (let i = 0; i < STEPS; i++) {
      const expected = step(plain, 0, SLOW.rate).loss, { loss } = step({ ...own, graph }, 0, SLOW.rate);
      assertClose(tensor(loss), tensor(expected), { rtol: SLOW.rtol, what: `loss of step ${i}` });
    }
    graph[Symbol.dispose]();
    free(plain);
    free(own);
  });
});
