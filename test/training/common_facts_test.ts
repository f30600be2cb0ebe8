import assert from "node:assert/strict";
import { resolveTrain } from "../../src/config/resolve.ts";
import { commonFacts } from "../../src/training/common_facts.ts";

/** The facts in which a process with these flags differs from one with the defaults. */
function differences(
  flags: Parameters<typeof resolveTrain>[0],
  source = { count: 10, classes: 2 },
): string[] {
  const of = (given: typeof flags, images: typeof source) =>
    commonFacts(resolveTrain({ dataset: "cifar10", ...given }), images, "cpu", null);
  const expected = of({}, { count: 10, classes: 2 }), facts = of(flags, source);
  return Object.keys(expected).filter((name) => facts[name] !== expected[name]);
}

Deno.test("commonFacts: flags that change the result or the order of the steps are material, paths are not", () => {
  assert.deepEqual(differences({}), []);
  const material = {
    seed: 1,
    learning_rate: 9,
    temperature: 0.7,
    manip_lambda: 3,
    optimizer: "adam",
    batch_size: 8,
  };
  for (const [name, value] of Object.entries(material)) {
    assert.deepEqual(differences({ [name]: value }), [`--${name}`]);
  }
  for (const name of ["max_steps", "max_epochs", "log_every", "save_every"]) {
    assert.deepEqual(differences({ [name]: 7 }), [`--${name}`]);
  }
  assert.deepEqual(differences({ dataset: "cifar100" }), ["--dataset"]);
  assert.deepEqual(differences({ precision: "bf16" }), ["--precision"]);
  assert.deepEqual(
    differences({ results_path: "elsewhere", num_workers: 3, data_dir: "/d", comment: "mine" }),
    [],
  );
});

Deno.test("commonFacts: the data must have as many images and classes", () => {
  assert.deepEqual(differences({}, { count: 11, classes: 3 }), [
    "the number of images",
    "the number of classes",
  ]);
});
