import { Sgd } from "../../src/optim/sgd.ts";
import { scope } from "../../src/torch/scope.ts";
import { assertClose, goldenFile } from "../golden.ts";

const CASES = {
  plain: { weightDecay: 1e-6, momentum: 0.9, nesterov: false },
  nesterov: { weightDecay: 1e-4, momentum: 0.9, nesterov: true },
  nodecay: { weightDecay: 0, momentum: 0.9, nesterov: false },
  nomomentum: { weightDecay: 1e-3, momentum: 0, nesterov: false },
};

for (const [name, { weightDecay, ...options }] of Object.entries(CASES)) {
  Deno.test(`golden lars: ${name}`, () => {
    scope(() => {
      const golden = goldenFile("lars");
      const parameters = new Map(
        ["p0", "p1", "p2"].map((p) => [p, golden.get(`${name}.${p}.0`)!.requiresGrad_()]),
      );
      using optimizer = new Sgd([{ name, parameters, weightDecay, trustRatio: true }], options);
      for (let step = 1; step <= 5; step++) {
        for (const [p, parameter] of parameters) {
          parameter.grad = golden.get(`${name}.g${p.slice(1)}.${step}`)!;
        }
        optimizer.step(0.8);
        for (const [p, parameter] of parameters) {
          assertClose(parameter, golden.get(`${name}.${p}.${step}`)!, {
            rtol: 1e-5,
            atol: 1e-7,
            what: `${p} after step ${step}`,
          });
        }
      }
    });
  });
}
