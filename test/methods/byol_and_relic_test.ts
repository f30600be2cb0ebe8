import assert from "node:assert/strict";
import { Byol } from "../../src/methods/byol.ts";
import { byolLoss } from "../../src/methods/byol_loss.ts";
import type { AllMethodSettings } from "../../src/methods/registry.ts";
import { Relic } from "../../src/methods/relic.ts";
import { relicLoss } from "../../src/methods/relic_loss.ts";
import { emaRate } from "../../src/methods/target_network.ts";
import { plainGroups } from "../../src/optim/param_groups.ts";
import { Sgd } from "../../src/optim/sgd.ts";
import { type Learner, trainStep } from "../../src/training/step.ts";
import { cat } from "../../src/torch/functional.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { DEVICE, tensor } from "../device.ts";
import { assertClose, assertNoLeak, fill, goldenFile, goldenJson, img, unit } from "../golden.ts";
import { contextOf, PREDICTIVE_SETTINGS } from "./made_method.ts";

const TOLERANCE = { rtol: 1e-9, atol: 1e-9 };

/** Made-up predictions with gradients and targets without, of the shape of a golden gradient. */
function inputs(name: string, [n, d]: readonly number[]) {
  const [qa, qb] = ["qa", "qb"].map((part) => unit(`methods.${name}.${part}`, [n, d]).requiresGrad_());
  const [za, zb] = ["za", "zb"].map((part) => unit(`methods.${name}.${part}`, [n, d]));
  return { qa, qb, za, zb };
}

for (const name of ["a", "b", "c"]) {
  Deno.test(`golden methods: BYOL's loss and gradients in case ${name}`, () => {
    scope(() => {
      const golden = goldenFile("methods"), of = (key: string) => golden.get(`byol.${name}.${key}`)!;
      const { qa, qb, za, zb } = inputs(name, of("grad_qa").shape);
      const loss = byolLoss(qa, qb, za, zb);
      loss.backward();
      assertClose(loss.reshape(1), of("loss"), { ...TOLERANCE, what: "loss" });
      assertClose(qa.grad!, of("grad_qa"), { ...TOLERANCE, what: "gradient of qa" });
      assertClose(qb.grad!, of("grad_qb"), { ...TOLERANCE, what: "gradient of qb" });
    });
  });

  Deno.test(`golden methods: ReLIC's loss, its parts and gradients in case ${name}`, () => {
    scope(() => {
      const golden = goldenFile("methods"), of = (key: string) => golden.get(`relic.${name}.${key}`)!;
      const given = inputs(name, of("grad_qa").shape);
      const options = { temperature: of("temperature").item(), alpha: of("alpha").item() };
      const { loss, contrast, invariance, accuracy } = relicLoss(given, options);
      loss.backward();
      for (const [key, value] of Object.entries({ loss, contrast, invariance })) {
        assertClose(value.reshape(1), of(key), { ...TOLERANCE, what: key });
      }
      assertClose(accuracy.reshape(1), of("accuracy"), { rtol: 1e-6, what: "accuracy" });
      assertClose(given.qa.grad!, of("grad_qa"), { ...TOLERANCE, what: "gradient of qa" });
      assertClose(given.qb.grad!, of("grad_qb"), { ...TOLERANCE, what: "gradient of qb" });
    });
  });
}

Deno.test("golden methods: the rates of the target network over a run", () => {
  scope(() => {
    const rates = Array.from({ length: 9 }, (_, k) => emaRate(0.9, k / 8));
    assertClose(
      tensor(rates, { dtype: "float64" }),
      goldenFile("methods").get("ema.rates_base_0.9_of_8")!,
      TOLERANCE,
    );
  });
});

const SIZE = 8, STEPS = 3, TOTAL = 8;

function batch(step: number) {
  const shape = [SIZE, 3, 32, 32], bounds = tensor([2.2, 2.2, 0.6], { dtype: "float64" });
  const labels = Array.from({ length: SIZE }, (_, i) => (3 * i + step) % 10);
  return {
    pairs: {
      views: cat([img(`s${step}.a`, shape), img(`s${step}.b`, shape)]),
      manipulation: unit(`s${step}.theta`, [SIZE, 2, 3]).mul(bounds),
      solarized: null,
      labels: tensor(labels, { dtype: "int64" }),
    },
  };
}

const METHODS = { byol: Byol, relic: Relic } as const;

for (const name of ["byol", "relic"] as const) {
  for (const manip_lambda of [0, 1]) {
    const tag = manip_lambda === 0 ? name : `${name}_stec`;
    Deno.test(`golden methods: steps of ${tag}`, () => {
      scope(() => {
        const golden = goldenFile("methods"), of = (key: string) => golden.get(`${tag}.${key}`)!;
        const { parameter_order: order } = goldenJson<{ parameter_order: string[] }>("methods");
        using model = new METHODS[name]({ ...PREDICTIVE_SETTINGS, manip_lambda }, contextOf());
        model.to({ dtype: "float64", device: DEVICE });
        fill(model.stateDict());
        model.restart();
        const optimizer = new Sgd(plainGroups(model.namedParameters(), 1e-4, false), {
          momentum: 0.9,
          nesterov: false,
        });
        using _ = optimizer;
        const parameters = new Map(model.namedParameters());
        const norms = (
          names: string[],
          of: (parameter: Tensor) => Tensor | null = (parameter) => parameter,
        ) =>
          tensor(names.map((name) => of(parameters.get(name)!)?.norm().item() ?? -1), { dtype: "float64" });
        const targets = [...parameters.keys()].filter((name) => /^target_(?!encoder.fc)/.test(name));
        const learner: Learner = { model, optimizer, device: DEVICE, precision: null };
        for (let step = 0; step < STEPS; step++) {
          const pending = trainStep(learner, { toBatch: () => batch(step) }, {
            learningRate: 0.05,
            progress: step / TOTAL,
          });
          const values = pending.values.toNumbers();
          const metric = (name: string) => values[pending.names.indexOf(name)];
          const names = ["loss", "discrimination_loss", "manip_loss", "manip_accuracy", "supervised_loss"];
          // Shares are float32.
          assertClose(tensor(names.map(metric), { dtype: "float64" }), of(`${step}.metrics`), {
            rtol: 1e-7,
            what: `metrics of step ${step}`,
          });
          const exact = names.map((name) => name.endsWith("loss") ? metric(name) : 0);
          const expected = of(`${step}.metrics`).toNumbers().map((value, i) => i === 3 ? 0 : value);
          assertClose(tensor(exact, { dtype: "float64" }), tensor(expected, { dtype: "float64" }), {
            ...TOLERANCE,
            what: `losses of step ${step}`,
          });
          if (step === 0) {
            assertClose(norms(order, ({ grad }) => grad), of("0.grad_norms"), {
              ...TOLERANCE,
              what: "gradients",
            });
          }
          assertClose(norms(order), of(`${step}.param_norms`), {
            ...TOLERANCE,
            what: `parameters after step ${step}`,
          });
          assertClose(norms(targets), of(`${step}.target_norms`), {
            ...TOLERANCE,
            what: `targets after step ${step}`,
          });
          const state = model.stateDict();
          const statistics = ["mean", "var"].map((what) => state.get(`target_encoder.bn1.running_${what}`)!);
          assertClose(cat(statistics.map((each) => each.unsqueeze(0))), of(`${step}.target_bn1`), {
            ...TOLERANCE,
            what: `the target's statistics after step ${step}`,
          });
        }
      });
    });
  }
}

for (const name of ["byol", "relic"] as const) {
  Deno.test(`${name}: the target starts as a copy, gets no gradient, is not optimized and moves after updates only`, () => {
    scope(() => {
      const settings: AllMethodSettings = { ...PREDICTIVE_SETTINGS, hidden_mlp: 8, feat_dim: 8 };
      using model = new METHODS[name](settings, contextOf({ width: 4 })).to({ device: DEVICE });
      const state = model.stateDict();
      const online = (name: string) => state.get(name.replace("target_", ""))!;
      const targets = [...state.keys()].filter((name) => name.startsWith("target_"));
      for (const name of targets) assertClose(state.get(name)!, online(name), { what: name });
      const optimizer = new Sgd(plainGroups(model.namedParameters(), 0, false), {
        momentum: 0,
        nesterov: false,
      });
      assert.ok(optimizer.groups.every(({ parameters }) => targets.every((name) => !parameters.has(name))));
      assert.ok(model.learnedParameters().every(({ requiresGrad }) => requiresGrad));
      const pairs = (value: number) => ({
        ...batch(0).pairs,
        views: img("v", [2 * SIZE, 3, 8, 8]).float().mul(value),
        manipulation: batch(0).pairs.manipulation.float(),
      });
      const learner: Learner = { model, optimizer, device: DEVICE, precision: null };
      const weight = state.get("target_encoder.conv1.weight")!, before = weight.toNumbers();
      const step = (value: number) =>
        trainStep(
          learner,
          { toBatch: () => ({ pairs: pairs(value) }) },
          { learningRate: 0.1, progress: 0.5 },
          true,
        );
      step(1);
      const after = weight.toNumbers(), tau = emaRate(0.9, 0.5);
      const expected = online("target_encoder.conv1.weight").toNumbers().map((value, i) =>
        tau * before[i] + (1 - tau) * value
      );
      assertClose(tensor(after), tensor(expected), { rtol: 1e-5, atol: 1e-7 });
      assert.notDeepEqual(after, before);
      step(NaN);
      assert.deepEqual(weight.toNumbers(), after, "a loss that is not finite moves nothing");
      optimizer[Symbol.dispose]();
    });
  });
}

Deno.test("byolLoss and relicLoss: 16 bits are compared in float32, and nothing is left behind", () => {
  assertNoLeak(() => {
    const [qa, qb, za, zb] = ["qa", "qb", "za", "zb"].map((name) =>
      unit(name, [4, 8]).to({ dtype: "bfloat16" })
    );
    const loss = byolLoss(qa.requiresGrad_(), qb, za, zb);
    assert.equal(loss.dtype, "float32");
    loss.backward();
    assert.equal(relicLoss({ qa, qb, za, zb }, { temperature: 0.2, alpha: 1 }).loss.dtype, "float32");
  });
});
