import assert from "node:assert/strict";
import { tensor } from "../../src/torch/create.ts";
import { scope } from "../../src/torch/scope.ts";
import { assertClose, goldenFile } from "../golden.ts";
import { runProcesses } from "./processes.ts";

interface NtXentNumbers {
  readonly loss: number;
  readonly accuracy: number;
  readonly contrastAccuracy: number;
  readonly gradient1: number[];
  readonly gradient2: number[];
}

Deno.test("golden nt_xent_two_ranks: losses, accuracies and gradients on two processes", async () => {
  const found = await runProcesses<NtXentNumbers>(2, "ntXent", "0.2");
  scope(() => {
    const golden = goldenFile("nt_xent_two_ranks");
    for (const [rank, numbers] of found.entries()) {
      const expect = (name: string, value: number | number[]) => {
        const expected = golden.get(`rank${rank}.${name}`)!;
        const actual = tensor(value, { dtype: "float64" }).reshape(...expected.shape);
        // The reference's similarities are float32, and so are its accuracies.
        assertClose(actual, expected, { rtol: 1e-5, atol: 1e-7, what: `${name} of rank ${rank}` });
      };
      expect("loss", numbers.loss);
      expect("accuracy", numbers.accuracy);
      expect("contrast_accuracy", numbers.contrastAccuracy);
      expect("grad_z1", numbers.gradient1);
      expect("grad_z2", numbers.gradient2);
    }
  });
});

Deno.test("process group: gathers in the order of ranks, takes means, shares rank 0's, asks all", async () => {
  for (const found of await runProcesses(3, "collectives")) {
    assert.deepEqual(found, {
      gathered: [0, 1, 1, 1, 2, 1],
      mean: [1, 10],
      shared: [[0, 5], [0]],
      any: [false, true, true],
    });
  }
});
