import assert from "node:assert/strict";
import { linearProbe, tunedLinearProbe } from "../../src/evaluation/linear_probe.ts";
import { fromTypedArray } from "../../src/torch/create.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import { points } from "./points.ts";

const SIZE = { count: 300, classes: 3, features: 5 };

Deno.test("linear probe: groups far apart are told apart, and nothing stays in memory", () => {
  const before = counters();
  scope(() => {
    const train = points({ ...SIZE, spread: 0.05, seed: 1 }),
      test = points({ ...SIZE, spread: 0.05, seed: 2 });
    assert.equal(linearProbe(train, test, 3), 1);
    const { accuracy, trainAccuracy } = tunedLinearProbe(train, test, 3, { seed: 1 });
    assert.deepEqual([accuracy, trainAccuracy], [1, 1]);
  });
  assert.deepEqual(counters(), before);
});

Deno.test("linear probe: labels that have nothing to do with the features are guessed", () => {
  scope(() => {
    const alike = { ...SIZE, classes: 1, spread: 1 };
    const random = (seed: number) => {
      const { features } = points({ ...alike, seed });
      return { features, labels: points({ ...SIZE, spread: 1, seed }).labels };
    };
    const { accuracy, weightDecay } = tunedLinearProbe(random(1), random(2), 3, { seed: 1 });
    assert.ok(Math.abs(accuracy - 1 / 3) < 0.12, `accuracy ${accuracy}`);
    assert.ok(weightDecay > 0.01, `weight decay ${weightDecay}`);
  });
});

Deno.test("linear probe: it ends where the gradient is zero", () => {
  scope(() => {
    const train = points({ ...SIZE, spread: 1.5, seed: 1 });
    const { training, weightDecay } = tunedLinearProbe(train, train, 3, { seed: 1 });
    assert.ok(training.gradient <= 3e-5, `gradient ${training.gradient}`);
    assert.ok(training.iterations > 3);
    // By the definition of a minimum, a longer and a shorter training cannot differ.
    const first = linearProbe(train, train, 3, { weightDecay, maxIterations: 1000 });
    assert.ok(Math.abs(first - linearProbe(train, train, 3, { weightDecay, maxIterations: 200 })) < 1e-9);
  });
});

Deno.test("linear probe: with few images and many features a strong weight decay is chosen", () => {
  scope(() => {
    const noisy = { classes: 2, features: 60, spread: 4 };
    const train = points({ ...noisy, count: 80, seed: 1 }), test = points({ ...noisy, count: 2000, seed: 2 });
    const { accuracy, weightDecay } = tunedLinearProbe(train, test, 2, { seed: 3 });
    assert.ok(weightDecay >= 0.1, `weight decay ${weightDecay}`);
    assert.ok(accuracy > linearProbe(train, test, 2, { weightDecay: 1e-6, maxIterations: 1000 }));
  });
});

Deno.test("linear probe: it does not depend on the scale of a feature, and bears one that is constant", () => {
  scope(() => {
    const scaled = (seed: number) => {
      const { features, labels } = points({ ...SIZE, spread: 1, seed });
      return { features: features.mul(fromTypedArray(Float32Array.of(1, 1e3, 1e-3, 0, 1))), labels };
    };
    const plain = (seed: number) => {
      const { features, labels } = points({ ...SIZE, spread: 1, seed });
      return { features: features.mul(fromTypedArray(Float32Array.of(1, 1, 1, 0, 1))), labels };
    };
    const accuracies = [scaled, plain].map((make) => linearProbe(make(1), make(2), 3));
    assert.ok(Math.abs(accuracies[0] - accuracies[1]) < 0.01, String(accuracies));
  });
});
