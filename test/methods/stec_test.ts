import assert from "node:assert/strict";
import { Adam } from "../../src/optim/adam.ts";
import type { Optimizer } from "../../src/optim/optimizer.ts";
import { larsGroups, plainGroups } from "../../src/optim/param_groups.ts";
import { cosineSchedule } from "../../src/optim/schedule.ts";
import { Sgd } from "../../src/optim/sgd.ts";
import {
  type Batch,
  type LinearLosses,
  type Losses,
  type ObjectiveOptions,
  Stec,
  type StecOptions,
} from "../../src/methods/stec.ts";
import { cat, where } from "../../src/torch/functional.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { DEVICE, tensor } from "../device.ts";
import { assertClose, fill, goldenFile, goldenJson, img, unit } from "../golden.ts";

/** What follows the reference's NT-Xent, whose similarities are float32: golden.md expects 1e-6 to 1e-5. */
const TOLERANCE = { rtol: 1e-5, atol: 1e-8 };

const SIZES: StecOptions = {
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
};

const OBJECTIVE: ObjectiveOptions = {
  discriminationLambda: 2,
  manipulationLambda: 1,
  supervisedLambda: 1,
  temperature: 0.5,
  stopGradient: 1,
  // Steps amplify rounding: only with the reference's own float32 do they agree over several of them.
  similarityDtype: "float32",
};

const SIZE = 8;

function labels(step: number): Tensor {
  return tensor(Array.from({ length: SIZE }, (_, i) => (3 * i + step) % 10), { dtype: "int64" });
}

function batch(step: number, size = 32): Batch {
  const a = img(`s${step}.a`, [SIZE, 3, size, size]), b = img(`s${step}.b`, [SIZE, 3, size, size]);
  const manipulation = unit(`s${step}.theta`, [SIZE, 2, 3]).mul(
    tensor([2.2, 2.2, 0.6], { dtype: "float64" }),
  );
  return { views: cat([a, b]), manipulation, solarized: null, labels: labels(step) };
}

function metrics(losses: Losses): number[] {
  return [
    losses.loss,
    losses.discriminationLoss,
    losses.discriminationAccuracy,
    losses.manipulationLoss,
    losses.manipulationAccuracy,
    losses.supervisedLoss!,
    losses.supervisedAccuracy!,
    losses.contrastAccuracy,
    losses.contrastEntropy,
  ].map((metric) => metric.item());
}

function freshModel(sizes: Partial<StecOptions> = {}): Stec {
  const model = new Stec({ ...SIZES, ...sizes }).to({ dtype: "float64", device: DEVICE });
  fill(model.stateDict());
  return model;
}

interface Case {
  readonly steps: number;
  readonly lr: number;
  readonly objective?: Partial<ObjectiveOptions>;
  optimizer(parameters: Iterable<[string, Tensor]>): Optimizer;
}

const lars = (nesterov: boolean) => (parameters: Iterable<[string, Tensor]>) =>
  new Sgd(larsGroups(parameters, 1e-4), { momentum: 0.9, nesterov });
const sgd = (parameters: Iterable<[string, Tensor]>) =>
  new Sgd(plainGroups(parameters, 1e-4, false), { momentum: 0.9, nesterov: true });
const adam = (parameters: Iterable<[string, Tensor]>) => new Adam(plainGroups(parameters, 1e-4, false));

const CASES: Record<string, Case> = {
  stec: { steps: 5, lr: 0.5, optimizer: lars(false) },
  simclr: { steps: 3, lr: 0.5, objective: { manipulationLambda: 0 }, optimizer: lars(false) },
  nesterov: { steps: 3, lr: 0.5, optimizer: lars(true) },
  sgd: { steps: 3, lr: 0.05, optimizer: sgd },
  adam: { steps: 3, lr: 1e-3, optimizer: adam },
  end_to_end_supervised: { steps: 3, lr: 0.5, objective: { stopGradient: 0 }, optimizer: lars(false) },
  linear_fit: { steps: 3, lr: 0.04, objective: { stopGradient: 2 }, optimizer: sgd },
};

function checkGradientNorms(model: Stec, golden: Tensor): void {
  const norms = model.parameters().map((parameter) => parameter.grad?.norm().item() ?? -1);
  assertClose(tensor(norms, { dtype: "float64" }), golden, { ...TOLERANCE, what: "gradient norms" });
}

for (const [tag, { steps, lr, objective, optimizer: make }] of Object.entries(CASES)) {
  Deno.test(`golden steps: ${tag}`, () => {
    scope(() => {
      const golden = goldenFile("steps");
      const model = freshModel();
      const options = { ...OBJECTIVE, ...objective };
      if (options.stopGradient === 2) model.freezeAllButSupervisedHead();
      const optimizer = make(model.namedParameters());
      const schedule = cosineSchedule(2, 8);
      for (let step = 0; step < steps; step++) {
        model.zeroGrad();
        const losses = model.losses(batch(step), options);
        losses.loss.backward();
        const expected = golden.get(`${tag}.${step}.metrics`)!;
        assertClose(tensor(metrics(losses), { dtype: "float64" }), expected, {
          ...TOLERANCE,
          what: `metrics of step ${step}`,
        });
        if (step === 0) checkGradientNorms(model, golden.get(`${tag}.0.grad_norms`)!);
        optimizer.step(lr * schedule(step + 1));
        const norms = model.parameters().map((parameter) => parameter.norm().item());
        assertClose(tensor(norms, { dtype: "float64" }), golden.get(`${tag}.${step}.param_norms`)!, {
          ...TOLERANCE,
          what: `parameter norms after step ${step}`,
        });
      }
      const state = model.stateDict();
      assertClose(state.get("encoder.conv1.weight")!, golden.get(`${tag}.final_conv1`)!, {
        ...TOLERANCE,
        what: "conv1",
      });
      assertClose(state.get("supervised_head.linear_layer.weight")!, golden.get(`${tag}.final_head`)!, {
        ...TOLERANCE,
        what: "supervised head",
      });
      optimizer[Symbol.dispose]();
      model[Symbol.dispose]();
    });
  });
}

Deno.test("golden steps: pairs with a solarised view do not count", () => {
  scope(() => {
    const golden = goldenFile("steps");
    using model = freshModel();
    const solarized = golden.get("solarized.selection")!.ne(0);
    const plain = batch(0);
    const views = where(
      solarized.reshape(-1, 1, 1, 1).logicalAnd(plain.views.ge(0.5)),
      plain.views.neg().add(1),
      plain.views,
    );
    const losses = model.losses({ ...plain, views, solarized }, OBJECTIVE);
    const first = tensor(metrics(losses).slice(0, 7), { dtype: "float64" });
    assertClose(first, golden.get("solarized.metrics")!, TOLERANCE);
  });
});

Deno.test("golden steps: STL-10's head learns from a labelled batch in a second pass", () => {
  scope(() => {
    const golden = goldenFile("steps");
    using model = freshModel({ firstConv: true });
    const unlabelled = { ...batch(0, 48), labels: null };
    const labelled = { views: img("s7.a", [SIZE, 3, 48, 48]), labels: labels(7) };
    const objective = { ...OBJECTIVE, temperature: 0.2, manipulationLambda: 0.3 };
    const losses = model.losses({ ...unlabelled, labelled }, objective);
    losses.loss.backward();
    assertClose(
      tensor(metrics(losses).slice(0, 7), { dtype: "float64" }),
      golden.get("stl10.metrics")!,
      TOLERANCE,
    );
    checkGradientNorms(model, golden.get("stl10.grad_norms")!);
  });
});

Deno.test("golden names: the model's names, shapes, order and optimiser groups", () => {
  const names = goldenJson<
    { state_dict: Record<string, Record<string, number[]>>; optimizer_groups: Record<string, string[]> }
  >("names");
  const { parameter_order: order } = goldenJson<{ parameter_order: string[] }>("order_and_schedule");
  using model = new Stec(SIZES).to({ device: DEVICE });
  const state = Array.from(model.stateDict(), ([name, value]) => [name, value.shape]);
  assert.deepEqual(state, Object.entries(names.state_dict["stec.resnet18"]));
  assert.deepEqual(Array.from(model.namedParameters(), ([name]) => name), order);
  for (const group of larsGroups(model.namedParameters(), 1e-4)) {
    assert.deepEqual([...group.parameters.keys()], names.optimizer_groups[group.name], group.name);
  }
});

Deno.test("stec: linear evaluation learns what the frozen objective's supervised term does", () => {
  scope(() => {
    const sizes = { arch: "resnet18", width: 4, projectionHidden: 8, projectionOutputs: 8 } as const;
    using model = freshModel(sizes);
    model.freezeAllButSupervisedHead();
    const gradients = (losses: Losses | LinearLosses) => {
      model.zeroGrad();
      losses.loss.backward();
      return model.supervisedHead!.parameters().map((parameter) => parameter.grad!.mul(1));
    };
    const pairs = batch(0), before = model.encoder.stateDict().get("bn1.running_mean")!.toNumbers();
    const whole = model.losses(pairs, { ...OBJECTIVE, stopGradient: 2, supervisedLambda: 3 });
    const expected = gradients(whole);
    const labelled = { views: pairs.views, labels: cat([pairs.labels!, pairs.labels!]) };
    const losses = model.linearLosses(labelled, 3);
    assert.deepEqual(Object.keys(losses), ["loss", "supervisedLoss", "supervisedAccuracy"]);
    assertClose(losses.loss, losses.supervisedLoss.mul(3));
    assertClose(losses.supervisedLoss, whole.supervisedLoss!);
    gradients(losses).forEach((gradient, i) => assertClose(gradient, expected[i]));
    assert.deepEqual(model.encoder.stateDict().get("bn1.running_mean")!.toNumbers(), before);
  });
});
