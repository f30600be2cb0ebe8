import assert from "node:assert/strict";
import { Adam } from "../../src/optim/adam.ts";
import type { Optimizer } from "../../src/optim/optimizer.ts";
import { larsGroups, plainGroups } from "../../src/optim/param_groups.ts";
import { cosineSchedule } from "../../src/optim/schedule.ts";
import { Sgd } from "../../src/optim/sgd.ts";
import type { Pairs } from "../../src/data/batch.ts";
import { LinearEvaluation } from "../../src/methods/linear_evaluation.ts";
import type { Losses } from "../../src/methods/method.ts";
import { SimClr, type SimClrSettings } from "../../src/methods/simclr.ts";
import type { Module } from "../../src/nn/module.ts";
import { UNDIVIDED } from "../../src/nn/peers.ts";
import { cat, where } from "../../src/torch/functional.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { DEVICE, tensor } from "../device.ts";
import { assertClose, fill, goldenFile, goldenJson, img, unit } from "../golden.ts";
import { contextOf, type ContextOptions, GOLDEN_SETTINGS } from "./made_method.ts";

/** What follows the reference's NT-Xent, whose similarities are float32: golden.md expects 1e-6 to 1e-5. */
const TOLERANCE = { rtol: 1e-5, atol: 1e-8 };

const SETTINGS: SimClrSettings = {
  ...GOLDEN_SETTINGS,
  // Steps amplify rounding: only with the reference's own float32 do they agree over several of them.
  similarityDtype: "float32",
};

const SIZE = 8;

function labels(step: number): Tensor {
  return tensor(Array.from({ length: SIZE }, (_, i) => (3 * i + step) % 10), { dtype: "int64" });
}

function pairs(step: number, size = 32): Pairs {
  const a = img(`s${step}.a`, [SIZE, 3, size, size]), b = img(`s${step}.b`, [SIZE, 3, size, size]);
  const manipulation = unit(`s${step}.theta`, [SIZE, 2, 3]).mul(
    tensor([2.2, 2.2, 0.6], { dtype: "float64" }),
  );
  return { views: cat([a, b]), manipulation, solarized: null, labels: labels(step) };
}

function metrics({ loss, metrics: of }: Losses): number[] {
  return [
    loss,
    of.discrimination_loss,
    of.discrimination_accuracy,
    of.manip_loss,
    of.manip_accuracy,
    of.supervised_loss,
    of.supervised_accuracy,
    of.contrast_accuracy,
    of.contrast_entropy,
  ].map((metric) => metric.item());
}

function freshModel(settings: Partial<SimClrSettings> = {}, context: ContextOptions = {}): SimClr {
  return filled(new SimClr({ ...SETTINGS, ...settings }, contextOf(context)));
}

function filled<M extends Module>(model: M): M {
  model.to({ dtype: "float64", device: DEVICE });
  fill(model.stateDict());
  return model;
}

/** Freezes all of SimCLR but its supervised head, as the reference does for linear evaluation. */
function freeze(model: SimClr): SimClr {
  model.requiresGrad_(false);
  model.supervisedHead!.requiresGrad_();
  model.encoder.eval();
  return model;
}

interface Case {
  readonly steps: number;
  readonly lr: number;
  readonly settings?: Partial<SimClrSettings>;
  optimizer(parameters: Iterable<[string, Tensor]>): Optimizer;
}

const lars = (nesterov: boolean) => (parameters: Iterable<[string, Tensor]>) =>
  new Sgd(larsGroups(parameters, 1e-4), { momentum: 0.9, nesterov });
const sgd = (parameters: Iterable<[string, Tensor]>) =>
  new Sgd(plainGroups(parameters, 1e-4, false), { momentum: 0.9, nesterov: true });
const adam = (parameters: Iterable<[string, Tensor]>) => new Adam(plainGroups(parameters, 1e-4, false));

const CASES: Record<string, Case> = {
  stec: { steps: 5, lr: 0.5, optimizer: lars(false) },
  simclr: { steps: 3, lr: 0.5, settings: { manip_lambda: 0 }, optimizer: lars(false) },
  nesterov: { steps: 3, lr: 0.5, optimizer: lars(true) },
  sgd: { steps: 3, lr: 0.05, optimizer: sgd },
  adam: { steps: 3, lr: 1e-3, optimizer: adam },
  end_to_end_supervised: { steps: 3, lr: 0.5, settings: { stop_gradient: 0 }, optimizer: lars(false) },
  linear_fit: { steps: 3, lr: 0.04, settings: { stop_gradient: 2 }, optimizer: sgd },
};

function checkGradientNorms(model: Module, golden: Tensor): void {
  const norms = model.parameters().map((parameter) => parameter.grad?.norm().item() ?? -1);
  assertClose(tensor(norms, { dtype: "float64" }), golden, { ...TOLERANCE, what: "gradient norms" });
}

for (const [tag, { steps, lr, settings, optimizer: make }] of Object.entries(CASES)) {
  Deno.test(`golden steps: ${tag}`, () => {
    scope(() => {
      const golden = goldenFile("steps");
      const model = freshModel(settings);
      if (settings?.stop_gradient === 2) freeze(model);
      const optimizer = make(model.namedParameters());
      const schedule = cosineSchedule(2, 8);
      for (let step = 0; step < steps; step++) {
        model.zeroGrad();
        const losses = model.losses({ pairs: pairs(step) }, UNDIVIDED);
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
    const plain = pairs(0);
    const views = where(
      solarized.reshape(-1, 1, 1, 1).logicalAnd(plain.views.ge(0.5)),
      plain.views.neg().add(1),
      plain.views,
    );
    const losses = model.losses({ pairs: { ...plain, views, solarized } }, UNDIVIDED);
    const first = tensor(metrics(losses).slice(0, 7), { dtype: "float64" });
    assertClose(first, golden.get("solarized.metrics")!, TOLERANCE);
  });
});

Deno.test("golden steps: STL-10's head learns from a labelled batch in a second pass", () => {
  scope(() => {
    const golden = goldenFile("steps");
    using model = freshModel({ temperature: 0.2, manip_lambda: 0.3 }, { firstConv: true });
    const labeled = { views: img("s7.a", [SIZE, 3, 48, 48]), labels: labels(7) };
    const losses = model.losses({ pairs: { ...pairs(0, 48), labels: null }, labeled }, UNDIVIDED);
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
  using model = new SimClr(SETTINGS, contextOf()).to({ device: DEVICE });
  const state = Array.from(model.stateDict(), ([name, value]) => [name, value.shape]);
  assert.deepEqual(state, Object.entries(names.state_dict["stec.resnet18"]));
  assert.deepEqual(Array.from(model.namedParameters(), ([name]) => name), order);
  for (const group of larsGroups(model.namedParameters(), 1e-4)) {
    assert.deepEqual([...group.parameters.keys()], names.optimizer_groups[group.name], group.name);
  }
});

Deno.test("golden steps: linear evaluation learns the supervised head that SimCLR's frozen networks give", () => {
  scope(() => {
    const golden = goldenFile("steps"), { steps, lr, optimizer: make } = CASES.linear_fit;
    using model = filled(new LinearEvaluation(SETTINGS, contextOf()));
    using optimizer = make(model.namedParameters());
    const schedule = cosineSchedule(2, 8),
      before = model.encoder.parameters().map((each) => each.norm().item());
    for (let step = 0; step < steps; step++) {
      model.zeroGrad();
      const { views, labels } = pairs(step);
      const { loss, metrics } = model.losses({ labeled: { views, labels: cat([labels!, labels!]) } });
      assert.deepEqual(Object.keys(metrics), ["supervised_loss", "supervised_accuracy"]);
      const [, , , , , supervisedLoss, accuracy] = golden.get(`linear_fit.${step}.metrics`)!.toNumbers();
      for (
        const [found, expected] of [[loss, supervisedLoss], [metrics.supervised_accuracy, accuracy]] as const
      ) {
        assertClose(found, tensor(expected, { dtype: found.dtype }), TOLERANCE);
      }
      loss.backward();
      optimizer.step(lr * schedule(step + 1));
    }
    const head = golden.get("linear_fit.final_head")!;
    assertClose(model.supervisedHead.linear.weight, head, { ...TOLERANCE, what: "supervised head" });
    assert.deepEqual(model.encoder.parameters().map((each) => each.norm().item()), before);
  });
});

Deno.test("LinearEvaluation: weighs its loss and leaves the encoder's running statistics alone", () => {
  scope(() => {
    using model = filled(
      new LinearEvaluation({ ...SETTINGS, supervised_lambda: 3 }, contextOf({ width: 4 })),
    );
    const statistics = () => model.encoder.stateDict().get("bn1.running_mean")!.toNumbers(),
      before = statistics();
    const { views, labels } = pairs(0);
    model.eval().train();
    const { loss, metrics } = model.losses({ labeled: { views, labels: cat([labels!, labels!]) } });
    assertClose(loss, metrics.supervised_loss.mul(3));
    assert.deepEqual(statistics(), before);
    assert.deepEqual(model.learnedParameters(), model.supervisedHead.parameters());
  });
});

Deno.test("learnedParameters: leaves out the unused classifier, and the supervised head without a supervised term", () => {
  using whole = new SimClr(SETTINGS, contextOf({ width: 4 }));
  using without = new SimClr({ ...SETTINGS, supervised_lambda: 0 }, contextOf({ width: 4 }));
  const leftOut = (model: SimClr) => {
    const learned = new Set(model.learnedParameters());
    return [...model.namedParameters()].filter(([, parameter]) => !learned.has(parameter)).map(([name]) =>
      name
    );
  };
  const always = ["encoder.fc.weight", "encoder.fc.bias", "projection.model.bn_output.bias"];
  assert.deepEqual(leftOut(whole), always);
  const head = ["supervised_head.linear_layer.weight", "supervised_head.linear_layer.bias"];
  assert.deepEqual(leftOut(without), [...always, ...head]);
});
