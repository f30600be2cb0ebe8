/** Uses the library in a thread of its own and reports what went wrong. Started by library_test.ts. */

import { autocast, noGrad } from "../../src/torch/autograd.ts";
import { borrowTypedArray, ones, returnBorrowed } from "../../src/torch/create.ts";
import { scope } from "../../src/torch/scope.ts";
import { messageOf } from "../../src/base/errors.ts";

const self = globalThis as unknown as {
  onmessage: (event: MessageEvent<number>) => void;
  postMessage: (report: unknown) => void;
};

/** What goes wrong when the library is used under other modes than other threads use. */
function* problems(index: number): Generator<string> {
  const size = index + 4, x = ones([size, size]).requiresGrad_();
  noGrad(() => autocast("cpu", "bfloat16", () => x.matmul(x)));
  const [dtype, followed] = noGrad(() =>
    autocast("cpu", "bfloat16", () => {
      const product = x.matmul(x);
      return [product.dtype, product.requiresGrad];
    })
  );
  if (dtype !== "bfloat16" || followed) yield `a product is ${dtype}, followed: ${followed}`;
  const sum = borrowTypedArray(new Float32Array(size).fill(index)).sum().item();
  if (sum !== size * index) yield `the sum is ${sum}`;
  x.mul(2).sum().backward();
  if (x.grad!.sum().item() !== 2 * size * size) yield "a gradient is wrong";
  try {
    x.add(ones([size + 1]));
    yield "an error is missing";
  } catch (error) {
    if (!messageOf(error).includes(`float32[${size + 1}]`)) yield messageOf(error);
  }
}

self.onmessage = ({ data: index }) => {
  const found: string[] = [];
  for (let i = 0; i < 200 && found.length === 0; i++) scope(() => void found.push(...problems(index)));
  if (returnBorrowed() !== 0) found.push(`${returnBorrowed()} arrays are still borrowed`);
  self.postMessage({ index, problems: found });
};
