import assert from "node:assert/strict";
import { tensor } from "../../src/torch/create.ts";
import { keep, scope } from "../../src/torch/scope.ts";
import { assertClose, goldenFile } from "../golden.ts";
import { FLOAT64, free, learner, norms, OPTIMIZERS, SLOW, step } from "./golden_steps.ts";
import { gpuTest } from "./gpu.ts";

const LOSSES = ["loss", "discrimination_loss", "manip_loss", "supervised_loss"] as const;

gpuTest("golden step on a GPU: losses in float32, against the reference and the CPU", (device) => {
  scope(() => {
    const options = { width: 64, similarityDtype: "float32" } as const;
    const own = learner("stec", device, options), other = learner("stec", "cpu", options);
    const metrics = step(own, 0, 0.1), expected = step(other, 0, 0.1);
    const losses = (of: typeof metrics) => tensor(LOSSES.map((name) => of[name]));
    assertClose(losses(metrics), losses(expected), { rtol: 1e-4, what: "losses" });
    const reference = goldenFile("steps").get("stec.0.metrics")!.toNumbers();
    assertClose(tensor([metrics.loss, metrics.discrimination_loss]), tensor(reference.slice(0, 2)), {
      rtol: 1e-4,
    });
    free(own);
    free(other);
  });
});

for (const [tag, { lr }] of Object.entries(OPTIMIZERS)) {
  gpuTest(`golden steps on a GPU: ${tag} in float64, as on the CPU`, (device) => {
    scope(() => {
      const own = learner(tag, device, { dtype: "float64" }),
        other = learner(tag, "cpu", { dtype: "float64" });
      for (let i = 0; i < 3; i++) {
        const metrics = step(own, i, lr * (i + 1) / 3), expected = step(other, i, lr * (i + 1) / 3);
        const losses = (of: typeof metrics) => tensor(LOSSES.map((name) => of[name]), { dtype: "float64" });
        assertClose(losses(metrics), losses(expected), { ...FLOAT64, what: `losses of step ${i}` });
        assertClose(norms(own.model), norms(other.model), { ...FLOAT64, what: `parameters after step ${i}` });
      }
      free(own);
      free(other);
    });
  });
}

for (const precision of ["bfloat16", "float16"] as const) {
  gpuTest(`steps on a GPU: ${precision} learns what float32 does`, (device) => {
    scope(() => {
      const own = learner("sgd", device, { precision }), other = learner("sgd", device);
      for (let i = 0; i < 3; i++) {
        const loss = step(own, 0, SLOW.rate).loss, expected = step(other, 0, SLOW.rate).loss;
        assertClose(tensor(loss), tensor(expected), { rtol: SLOW.rtol, what: `loss of step ${i}` });
      }
      assert.equal(own.scaler?.skipped ?? 0, 0);
      free(own);
      free(other);
    });
  });
}

gpuTest("steps on a GPU: float16 leaves out a step whose gradients are not finite", (device) => {
  scope(() => {
    const own = learner("sgd", device, { precision: "float16" });
    own.scaler!.load({ ...own.scaler!.state(), scale: 1e30 });
    const before = keep(norms(own.model));
    step(own, 0, 0.02);
    assertClose(norms(own.model), before);
    assert.equal(own.scaler!.skipped, 1);
    assert.ok(own.scaler!.state().scale < 1e30);
    before[Symbol.dispose]();
    free(own);
  });
});
