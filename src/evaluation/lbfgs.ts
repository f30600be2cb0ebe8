/**
 * Minimising a smooth function of one vector.
 *
 * @module
 */

import { keep, scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";

/** How long `lbfgs` tries. */
export interface LbfgsOptions {
  /** Steps that it takes at most. */
  readonly maxIterations?: number;
  /** Ends when no component of the gradient is larger. */
  readonly gradientTolerance?: number;
  /** Pairs of steps that the curvature is estimated from. */
  readonly memory?: number;
}

/** Where `lbfgs` ended. */
export interface LbfgsResult {
  /** The function's value. */
  readonly value: number;
  /** Steps taken. */
  readonly iterations: number;
  /** The gradient's largest component. */
  readonly gradient: number;
}

interface Pair {
  readonly step: Tensor;
  readonly change: Tensor;
  readonly rho: number;
}

/**
 * Limited-memory BFGS with backtracking (Nocedal and Wright, "Numerical optimization", algorithms 7.4 and 3.1).
 *
 * @param x the start, a vector; overwritten with the result
 * @param evaluate the function's value and gradient at x, the gradient as a new tensor
 */
export function lbfgs(
  x: Tensor,
  evaluate: (x: Tensor) => { value: number; gradient: Tensor },
  options: LbfgsOptions = {},
): LbfgsResult {
  const { maxIterations = 100, gradientTolerance = 1e-5, memory = 10 } = options;
  const pairs: Pair[] = [];
  let { value, gradient } = scope(() => evaluate(x));
  keep(gradient);
  let iterations = 0;
  for (; iterations < maxIterations && largest(gradient) > gradientTolerance; iterations++) {
    const next = scope(() => lineSearch(x, value, gradient, direction(gradient, pairs), evaluate));
    if (next === null) break;
    const step = keep(next.step), change = keep(scope(() => next.gradient.sub(gradient)));
    const curvature = dot(step, change);
    x.copy_(next.x);
    next.x[Symbol.dispose]();
    gradient[Symbol.dispose]();
    [value, gradient] = [next.value, keep(next.gradient)];
    if (curvature > 0) pairs.push({ step, change, rho: 1 / curvature });
    else free({ step, change });
    if (pairs.length > memory) free(pairs.shift()!);
  }
  pairs.forEach(free);
  const result = { value, iterations, gradient: largest(gradient) };
  gradient[Symbol.dispose]();
  return result;
}

/** The two-loop recursion: minus the inverse Hessian's estimate times the gradient. */
function direction(gradient: Tensor, pairs: readonly Pair[]): Tensor {
  const result = gradient.neg(), alphas: number[] = [];
  for (const { step, change, rho } of pairs.toReversed()) {
    const alpha = rho * dot(step, result);
    alphas.push(alpha);
    result.add_(change, -alpha);
  }
  const last = pairs.at(-1);
  if (last === undefined) result.div_(Math.max(1, gradient.norm().item()));
  else result.mul_(1 / (last.rho * dot(last.change, last.change)));
  for (const { step, change, rho } of pairs) {
    result.add_(step, alphas.pop()! - rho * dot(change, result));
  }
  return result;
}

/** Halves the step until the value falls enough; null if it never does. */
function lineSearch(
  x: Tensor,
  value: number,
  gradient: Tensor,
  along: Tensor,
  evaluate: (x: Tensor) => { value: number; gradient: Tensor },
): { x: Tensor; step: Tensor; value: number; gradient: Tensor } | null {
  const slope = dot(gradient, along);
  for (let length = 1; length > 1e-10; length /= 2) {
    const found = scope(() => {
      const step = along.mul(length), next = x.add(step);
      const result = evaluate(next);
      return result.value <= value + 1e-4 * length * slope ? { x: next, step, ...result } : null;
    });
    if (found !== null) return found;
  }
  return null;
}

function dot(a: Tensor, b: Tensor): number {
  return scope(() => a.mul(b).sum()).item();
}

function largest(gradient: Tensor): number {
  return scope(() => gradient.abs().amax()).item();
}

function free({ step, change }: Pick<Pair, "step" | "change">): void {
  step[Symbol.dispose]();
  change[Symbol.dispose]();
}
