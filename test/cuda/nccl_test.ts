import assert from "node:assert/strict";
import { parallelize } from "../../src/distributed/ddp.ts";
import { ProcessGroup } from "../../src/distributed/process_group.ts";
import { Store } from "../../src/distributed/store.ts";
import { tensor } from "../../src/torch/create.ts";
import { cudaDeviceCount, gpuNumber, synchronize } from "../../src/torch/cuda.ts";
import { scope } from "../../src/torch/scope.ts";
import { freePort } from "../../src/distributed/world.ts";
import { assertClose } from "../golden.ts";
import { FLOAT64, free, learner, norms, SLOW, step } from "./golden_steps.ts";
import { gpuTest } from "./gpu.ts";

/** A group of this process alone. */
function alone(body: (group: ProcessGroup) => void): void {
  const place = { host: "127.0.0.1", timeout: 60 };
  using store = new Store({ ...place, port: freePort(), serves: true, prefix: "nccl" });
  using group = new ProcessGroup(store, { ...place, rank: 0, size: 1 });
  body(group);
}

Deno.test("NCCL: only a GPU that is there can join", () => {
  alone((group) => {
    assert.throws(
      () => group.joinGpu("cpu"),
      /^RangeError: Cannot connect processes on cpu by NCCL: wanted cuda/,
    );
    const none = `cuda:${cudaDeviceCount({ sure: true })}`;
    assert.throws(() => group.joinGpu(none), /there is no GPU|Cannot use a GPU: /);
  });
});

gpuTest("NCCL with one rank: collectives on the GPU and, beside them, on the CPU", (device) => {
  alone((group) =>
    scope(() => {
      if (gpuNumber(device) !== null) group.joinGpu(device);
      for (const place of [device, "cpu"]) {
        const rows = tensor([[1, 2], [3, 4]], { device: place }).requiresGrad_();
        const all = group.gather(rows);
        assert.deepEqual(all.toNumbers(), [1, 2, 3, 4]);
        all.mul(all).sum().backward();
        assert.deepEqual(rows.grad!.toNumbers(), [2, 4, 6, 8]);
        assert.deepEqual(group.mean_(tensor([5, 6], { device: place })).toNumbers(), [5, 6]);
        const shared = tensor([7], { device: place });
        group.share([shared, tensor([8], { dtype: "int64", device: place })]);
        assert.deepEqual(shared.toNumbers(), [7]);
      }
      assert.deepEqual([true, false].map((flag) => group.any(flag)), [true, false]);
      synchronize(device);
    })
  );
});

for (const options of [{ dtype: "float64" }, { precision: "bfloat16" }] as const) {
  const [type] = Object.values(options), exact = type === "float64";
  gpuTest(
    `NCCL with one rank: steps are the same with shared statistics and gradients, in ${type}`,
    (device) => {
      alone((group) =>
        scope(() => {
          const [plain, own] = [0, 1].map(() => learner("sgd", device, options));
          using reducer = parallelize(own.model, own.model.learnedParameters(), group)!;
          const together = { ...own, peers: group, reducer };
          for (let i = 0; i < 3; i++) {
            const expected = step(plain, 0, SLOW.rate).loss, { loss } = step(together, 0, SLOW.rate);
            const [actual, wanted] = [loss, expected].map((number) => tensor(number, { dtype: "float64" }));
            assertClose(actual, wanted, exact ? FLOAT64 : { rtol: SLOW.rtol, what: `loss of step ${i}` });
            if (exact) assertClose(norms(own.model), norms(plain.model), FLOAT64);
          }
          const { all_reduce_exposed_ms, peers_waited_ms } = reducer.times();
          assert.ok(all_reduce_exposed_ms >= 0 && peers_waited_ms >= 0);
          synchronize(device);
          free(plain);
          free(own);
        })
      );
    },
  );
}
