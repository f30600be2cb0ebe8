/**
 * Native memory by scope: V8 does not see libtorch's memory, so tensors are freed where a scope ends, not when the
 * garbage collector happens to run.
 *
 * @module
 */

import { check, FREED, native, PAYLOAD, payload } from "./library.ts";
import { Tensor } from "./tensor.ts";

/** The tensors of the innermost open scope, or null outside of every scope. */
let current: Tensor[] | null = null;

/** A net only, for tensors that nobody freed: it catches what is created outside of a scope. */
const forgotten = new FinalizationRegistry<number>((handle) => void native.stec_tensor_free(handle));

/**
 * Tensors that no scope looks after and of which the garbage collector has not been told yet. Most are disposed of at
 * once, and telling it costs half as much as a small operator.
 */
const recent: Tensor[] = [];
const RECENT = 64;

/** Leaves a tensor to the garbage collector if nobody disposes of it. */
export function watch(tensor: Tensor): void {
  tensor.scoped = false;
  if (recent.push(tensor) < RECENT) return;
  for (const tensor of recent) {
    if (tensor.handle === FREED || tensor.watched) continue;
    forgotten.register(tensor, tensor.handle, tensor);
    tensor.watched = true;
  }
  recent.length = 0;
}

/** Puts a new tensor under the care of the open scope or, outside of one, of the garbage collector. */
export function track(tensor: Tensor): void {
  if (current === null) return watch(tensor);
  tensor.scoped = true;
  current.push(tensor);
}

/** Takes a tensor that is being freed out of the garbage collector's care. */
export function untrack(tensor: Tensor): void {
  if (!tensor.watched) return;
  forgotten.unregister(tensor);
  tensor.watched = false;
}

/**
 * Runs `body` and frees every tensor created in it, except those in its result (a tensor, or an array, a plain object
 * or a Map of such), which move to the enclosing scope. If `body` throws, or a getter of its result, all are freed.
 *
 * The body must be synchronous: a scope that spanned an `await` would free what others create meanwhile.
 *
 * @example
 * ```ts
 * import { ones, scope } from "@stec/stec";
 * using total = scope(() => ones([2, 3]).mul(2).sum());
 * ```
 */
export function scope<T>(body: () => T): T {
  const enclosing = current;
  const mine: Tensor[] = [];
  current = mine;
  const moved = new Set<Tensor>();
  let result: T;
  try {
    result = synchronous(body(), "a scope");
    collect(result, moved);
  } catch (error) {
    release(mine, undefined);
    throw error;
  } finally {
    current = enclosing;
  }
  release(mine, moved);
  return result;
}

/**
 * Returns its argument, the result of a body that must have ended by now.
 *
 * @throws {TypeError} if it is a promise: what surrounds the body would end before it
 */
export function synchronous<T>(result: T, what: string): T {
  if (result instanceof Promise) {
    throw new TypeError(`Cannot put ${what} around an asynchronous body: await outside of it`);
  }
  return result;
}

/** Takes a tensor out of its scope: it lives until it is disposed of. Returns its argument. */
export function keep(tensor: Tensor): Tensor {
  if (tensor.scoped) watch(tensor);
  return tensor;
}

/** Frees each tensor of a list; those that are already free are passed over. */
export function dispose(tensors: Iterable<Tensor>): void {
  for (const tensor of tensors) tensor[Symbol.dispose]();
}

function release(tensors: readonly Tensor[], moved: ReadonlySet<Tensor> | undefined): void {
  let count = 0;
  for (const tensor of tensors) {
    if (tensor.handle === FREED || !tensor.scoped) continue;
    if (moved?.has(tensor)) {
      track(tensor);
      continue;
    }
    payload[count++] = tensor.forget();
    if (count === PAYLOAD) {
      check(native.stec_tensor_free_all(count), "free");
      count = 0;
    }
  }
  if (count > 0) check(native.stec_tensor_free_all(count), "free");
}

function collect(value: unknown, into: Set<Tensor>): void {
  if (value instanceof Tensor) into.add(value);
  else if (Array.isArray(value)) { for (const item of value) collect(item, into); }
  else if (value instanceof Map) { for (const item of value.values()) collect(item, into); }
  else if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) collect(item, into);
  }
}

/** What lives in native memory now. */
export interface Counters {
  /** Tensor handles that were not freed. */
  readonly tensors: number;
  /** Bytes of their distinct storages (what only autograd holds is not counted). */
  readonly bytes: number;
  /** Random generators that were not freed. */
  readonly generators: number;
}

/** Counts live tensors, bytes and generators. Walks over all of them: not for the inner loop. */
export function counters(): Counters {
  check(native.stec_counters(), "count");
  return { tensors: payload[0], bytes: payload[1], generators: payload[2] };
}
