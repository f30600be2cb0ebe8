import assert from "node:assert/strict";
import { Adam } from "../../src/optim/adam.ts";
import { GradScaler } from "../../src/optim/grad_scaler.ts";
import type { Optimizer } from "../../src/optim/optimizer.ts";
import { larsGroups, plainGroups } from "../../src/optim/param_groups.ts";
import { Sgd } from "../../src/optim/sgd.ts";
import { LAYOUT } from "../../src/run/machine.ts";
import { type Learner, readMetrics, trainStep } from "../../src/run/step.ts";
import { type Batch, type ObjectiveOptions, Stec } from "../../src/ssl/stec.ts";
import { tensor } from "../../src/torch/create.ts";
import type { DType } from "../../src/torch/dtype.ts";
import { cat } from "../../src/torch/functional.ts";
import { keep, scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { assertClose, fill, goldenFile, img, unit } from "../golden.ts";
import { gpuTest } from "./gpu.ts";

const SIZE = 8;
const OBJECTIVE: ObjectiveOptions = {
  discriminationLambda: 2,
  manipulationLambda: 1,
  supervisedLambda: 1,
  temperature: 0.5,
  stopGradient: 1,
  similarityDtype: "float32",
};
/** What float32 is expected to keep of the reference's numbers, which are float64. */
const FLOAT32 = { rtol: 1e-4, atol: 1e-5 };

const OPTIMIZERS: Record<string, { lr: number; make: (model: Stec) => Optimizer }> = {
  stec: {
    lr: 0.5,
    make: (model) => new Sgd(larsGroups(model.namedParameters(), 1e-4), { momentum: 0.9, nesterov: false }),
  },
  sgd: {
    lr: 0.05,
    make: (model) =>
      new Sgd(plainGroups(model.namedParameters(), 1e-4, false), { momentum: 0.9, nesterov: true }),
  },
  adam: { lr: 1e-3, make: (model) => new Adam(plainGroups(model.namedParameters(), 1e-4, false)) },
};

/** The batch of the golden steps. */
function batch(step: number, device: string): Batch {
  const shape = [SIZE, 3, 32, 32];
  const bounds = tensor([2.2, 2.2, 0.6], { dtype: "float64" });
  return {
    views: cat([img(`s${step}.a`, shape), img(`s${step}.b`, shape)]).to({ dtype: "float32", device }),
    manipulation: unit(`s${step}.theta`, [SIZE, 2, 3]).mul(bounds).to({ dtype: "float32", device }),
    solarized: null,
    labels: tensor(Array.from({ length: SIZE }, (_, i) => (3 * i + step) % 10), { dtype: "int64", device }),
  };
}

function learner(tag: string, device: string, precision: DType | null = null): Learner {
  const model = new Stec({
    arch: "resnet18",
    firstConv: false,
    maxPool: false,
    width: 64,
    projectionHidden: 512,
    projectionOutputs: 64,
    projectionFinalBatchNorm: true,
    manipulationHidden: [512],
    bins: 6,
    classes: 10,
  });
  fill(model.stateDict());
  model.to({ device, memoryFormat: LAYOUT });
  const scaler = precision === "float16" ? new GradScaler(device) : undefined;
  return { model, optimizer: OPTIMIZERS[tag].make(model), objective: OBJECTIVE, device, precision, scaler };
}

function free({ model, optimizer, scaler }: Learner): void {
  for (const part of [model, optimizer, scaler]) part?.[Symbol.dispose]();
}

function step(own: Learner, number: number, rate: number) {
  return scope(() => readMetrics(trainStep(own, { toBatch: () => batch(number, own.device) }, rate), ""));
}

/** Norms of the parameters, on the CPU. */
function norms(model: Stec): Tensor {
  return tensor(model.parameters().map((parameter) => parameter.norm().item()), { dtype: "float64" });
}

for (const [tag, { lr }] of Object.entries(OPTIMIZERS)) {
  gpuTest(`golden steps on a GPU: ${tag}, against the reference and the CPU`, (device) => {
    scope(() => {
      const golden = goldenFile("steps");
      const own = learner(tag, device), other = learner(tag, "cpu");
      for (let i = 0; i < 3; i++) {
        const metrics = step(own, i, lr * (i + 1) / 3), expected = step(other, i, lr * (i + 1) / 3);
        const losses = (of: typeof metrics) =>
          tensor([of.loss, of.discrimination_loss, of.manip_loss, of.supervised_loss]);
        assertClose(losses(metrics), losses(expected), { ...FLOAT32, what: `losses of step ${i}` });
        assertClose(norms(own.model), norms(other.model), { ...FLOAT32, what: `parameters after step ${i}` });
        if (i > 0) continue;
        const reference = golden.get(`${tag}.0.metrics`)!.toNumbers();
        assertClose(
          tensor([metrics.loss, metrics.discrimination_loss]),
          tensor(reference.slice(0, 2)),
          FLOAT32,
        );
      }
      free(own);
      free(other);
    });
  });
}

for (const precision of ["bfloat16", "float16"] as const) {
  gpuTest(`steps on a GPU: ${precision} learns what float32 does`, (device) => {
    scope(() => {
      const own = learner("sgd", device, precision), other = learner("sgd", device);
      for (let i = 0; i < 3; i++) {
        const loss = step(own, 0, 0.02).loss, expected = step(other, 0, 0.02).loss;
        assert.ok(
          Math.abs(loss - expected) < 0.03 * expected,
          `step ${i}: ${loss}, wanted about ${expected}`,
        );
      }
      assert.equal(own.scaler?.skipped ?? 0, 0);
      free(own);
      free(other);
    });
  });
}

gpuTest("steps on a GPU: float16 leaves out a step whose gradients are not finite", (device) => {
  scope(() => {
    const own = learner("sgd", device, "float16");
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
