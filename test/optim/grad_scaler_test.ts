import assert from "node:assert/strict";
import { GradScaler } from "../../src/optim/grad_scaler.ts";
import { Sgd } from "../../src/optim/sgd.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import { DEVICE, tensor } from "../device.ts";
import { assertNoLeak } from "../golden.ts";

const STATE = { scale: 1024, growth_factor: 2, backoff_factor: 0.5, growth_interval: 3, _growth_tracker: 0 };

/** One parameter, 1, with an optimiser that subtracts the gradient. */
function setting() {
  const parameter = tensor([1]).requiresGrad_();
  const group = { name: "p", parameters: new Map([["p", parameter]]), weightDecay: 0, trustRatio: false };
  return { parameter, optimizer: new Sgd([group], { momentum: 0, nesterov: false }) };
}

Deno.test("grad scaler: the optimiser sees gradients without the factor", () => {
  scope(() => {
    using scaler = new GradScaler(DEVICE);
    const { parameter, optimizer } = setting();
    scaler.load(STATE);
    const loss = parameter.mul(0.25).sum();
    assert.equal(scaler.scale(loss).item(), 256);
    scaler.scale(loss).backward();
    assert.equal(scaler.step(optimizer, 1), true);
    assert.equal(parameter.grad!.item(), 0.25);
    assert.equal(parameter.item(), 0.75);
  });
});

Deno.test("grad scaler: a step with a gradient that is not finite is left out, and the factor backs off", () => {
  scope(() => {
    using scaler = new GradScaler(DEVICE);
    const { parameter, optimizer } = setting();
    for (const [i, value] of [Infinity, NaN].entries()) {
      parameter.grad = tensor([value]);
      assert.equal(scaler.step(optimizer, 1), false);
      assert.equal(parameter.item(), 1);
      assert.equal(scaler.skipped, i + 1);
    }
    assert.equal(scaler.state().scale, 2 ** 14);
  });
});

Deno.test("grad scaler: the factor grows after so many good steps in a row", () => {
  scope(() => {
    using scaler = new GradScaler(DEVICE);
    const { parameter, optimizer } = setting();
    scaler.load(STATE);
    const states = [0, 0, Infinity, 0, 0, 0].map((value) => {
      parameter.grad = tensor([value]);
      scaler.step(optimizer, 0);
      const { scale, _growth_tracker } = scaler.state();
      return [scale, _growth_tracker];
    });
    assert.deepEqual(states, [[1024, 1], [1024, 2], [512, 0], [512, 1], [512, 2], [1024, 0]]);
  });
});

Deno.test("grad scaler: a saved state is taken over, one that cannot be is refused", () => {
  scope(() => {
    using first = new GradScaler(DEVICE), second = new GradScaler(DEVICE);
    first.load({ ...STATE, _growth_tracker: 2 });
    second.load(first.state());
    assert.deepEqual(second.state(), { ...STATE, _growth_tracker: 2 });
    assert.throws(() => second.load({ ...STATE, scale: NaN }), /gradient scaler's scale is NaN/);
    assert.throws(() => second.load({ ...STATE, growth_interval: -1 }), /growth_interval is -1/);
  });
});

Deno.test("grad scaler: leaves no tensor behind", () => {
  assertNoLeak(() => {
    using scaler = new GradScaler(DEVICE);
    const { parameter, optimizer } = setting();
    scaler.scale(parameter.sum()).backward();
    scaler.step(optimizer, 1);
  });
  assert.equal(counters().generators, 0);
});
