import assert from "node:assert/strict";
import { manipulationBins, ManipulationHead } from "../../src/methods/manipulation_head.ts";
import { scope } from "../../src/torch/scope.ts";
import { DEVICE, tensor } from "../device.ts";
import { assertClose, goldenFile, unit } from "../golden.ts";

const settings = (manip_hidden_mlp: number[]) => ({ manip_hidden_mlp, n_bins: 6, manip_lambda: 1 });

Deno.test("golden manipulation_loss: bins, loss of each entry, accuracy and gradients", () => {
  scope(() => {
    const golden = goldenFile("manipulation_loss");
    const of = (key: string) => golden.get(key)!;
    const features = of("features").requiresGrad_();
    const [a, b] = features.chunk(2, 1);
    const head = new ManipulationHead(a.shape[1], settings([48]), null).to({ device: DEVICE });
    const state = head.stateDict();
    for (const [name, target] of state) {
      if (name.endsWith("num_batches_tracked")) continue;
      assert.ok(golden.has(`state.${name}`), `the golden has no ${name}`);
      target.detach().copy_(of(`state.${name}`));
    }
    const values = of("values");
    assertClose(manipulationBins(values, 6), of("target_bins"), { what: "bins" });
    const { loss, accuracy } = head.loss(head.forward(a, b), values);
    loss.backward();
    assertClose(loss, of("mean_loss"), { rtol: 1e-5, what: "mean loss" });
    assertClose(accuracy, of("accuracy"), { rtol: 1e-6, what: "accuracy" });
    assertClose(features.grad!, of("grad_features"), {
      rtol: 1e-5,
      atol: 1e-8,
      what: "gradient of the features",
    });
    assertClose(state.get("model.linear_final.weight")!.grad!, of("grad_linear_final_weight"), {
      rtol: 1e-5,
      atol: 1e-8,
      what: "gradient of the last weight",
    });
  });
});

Deno.test("manipulationBins: zero falls in bin 2, what lies beyond the bounds in the outer bins", () => {
  scope(() => {
    const values = tensor([[[0, -9, 9], [2, -2, 0.5]]]);
    assert.deepEqual(manipulationBins(values, 6).toNumbers(), [2, 0, 5, 5, 0, 5]);
  });
});

Deno.test("ManipulationHead.loss: only kept pairs count, and none kept gives 0", () => {
  scope(() => {
    const head = new ManipulationHead(3, settings([]), null).to({ device: DEVICE });
    const logits = unit("logits", [4, 6, 2, 3]).requiresGrad_(), manipulation = unit("m", [4, 2, 3]);
    const kept = tensor([1, 0, 0, 1], { dtype: "bool" });
    const some = head.loss(logits, manipulation, kept).loss;
    const first = head.loss(logits.slice(0, 0, 1), manipulation.slice(0, 0, 1)).loss;
    const last = head.loss(logits.slice(0, 3), manipulation.slice(0, 3)).loss;
    assertClose(some, first.add(last).div(2), { rtol: 1e-12 });
    const none = head.loss(logits, manipulation, tensor([0, 0, 0, 0], { dtype: "bool" })).loss;
    none.backward();
    assert.equal(none.item(), 0);
    assert.ok(logits.grad!.toNumbers().every((g) => g === 0));
  });
});
