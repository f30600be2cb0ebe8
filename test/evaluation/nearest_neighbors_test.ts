import assert from "node:assert/strict";
import type { LabelledFeatures } from "../../src/evaluation/features.ts";
import { nearestNeighbours } from "../../src/evaluation/nearest_neighbors.ts";
import { tensor } from "../../src/torch/create.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import { points } from "./points.ts";

/** The same by the book, image by image. */
function byTheBook(
  train: LabelledFeatures,
  test: LabelledFeatures,
  classes: number,
  count: number,
  temperature: number,
): number {
  const rows = ({ features, labels }: LabelledFeatures) => {
    const [, width] = features.shape, values = features.toNumbers(), classes = labels.toNumbers();
    return classes.map((label, i) => {
      const row = values.slice(i * width, (i + 1) * width), length = Math.hypot(...row);
      return { label, unit: row.map((value) => value / length) };
    });
  };
  const known = rows(train), asked = rows(test);
  const right = asked.filter(({ label, unit }) => {
    const cosines = known.map((one) => ({
      label: one.label,
      cosine: one.unit.reduce((sum, value, i) => sum + value * unit[i], 0),
    }));
    const votes = new Array(classes).fill(0);
    for (const { label, cosine } of cosines.sort((a, b) => b.cosine - a.cosine).slice(0, count)) {
      votes[label] += Math.exp(cosine / temperature);
    }
    return votes.indexOf(Math.max(...votes)) === label;
  });
  return right.length / asked.length;
}

Deno.test("nearest neighbours: as by the book, and nothing stays in memory", () => {
  const before = counters();
  scope(() => {
    const size = { classes: 4, features: 3, spread: 1.5 };
    const train = points({ ...size, count: 120, seed: 1 }), test = points({ ...size, count: 90, seed: 2 });
    const counts = [200, 20, 5, 1];
    const found = nearestNeighbours(train, test, 4, { counts, temperature: 0.1 });
    const expected = counts.map((count) => byTheBook(train, test, 4, count, 0.1));
    assert.deepEqual(found, expected);
    assert.ok(new Set(found).size > 1, "the counts make a difference here");
  });
  assert.deepEqual(counters(), before);
});

Deno.test("nearest neighbours: a near one outvotes several that are farther away", () => {
  scope(() => {
    const train = {
      features: tensor([[1, 0], [0.6, 0.8], [0.6, -0.8], [0.5, 0.9]]),
      labels: tensor([0, 1, 1, 1], { dtype: "int64" }),
    };
    const test = { features: tensor([[7, 0.1]]), labels: tensor([0], { dtype: "int64" }) };
    assert.deepEqual(nearestNeighbours(train, test, 2, { counts: [4], temperature: 0.1 }), [1]);
    assert.deepEqual(nearestNeighbours(train, test, 2, { counts: [4], temperature: 100 }), [0]);
  });
});

Deno.test("nearest neighbours: weights do not overflow at a small temperature", () => {
  scope(() => {
    const data = points({ count: 20, classes: 2, features: 3, spread: 0.01, seed: 1 });
    assert.deepEqual(nearestNeighbours(data, data, 2, { counts: [1], temperature: 1e-3 }), [1]);
  });
});
