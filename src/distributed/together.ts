/**
 * Processes that stand and fall together.
 *
 * @module
 */

import { messageOf } from "../base/errors.ts";
import { TorchError } from "../torch/library.ts";
import { ALONE, type Peers } from "../nn/peers.ts";
import { ProcessGroup } from "./process_group.ts";
import { Store } from "./store.ts";
import type { World } from "./world.ts";

/** How long a process that fails waits for what the others have to say. */
const ROLL_CALL_MS = 5000;
const POLL_MS = 50;

/** How processes work together. */
export interface TogetherOptions {
  /** Seconds after which a process that does not answer is given up. */
  readonly timeout: number;
}

/**
 * Runs a body as one of several processes. If one of them fails, is killed or does not answer any more, the body fails
 * in all of them, and the error says which process it was and why.
 *
 * @param world null: this process is alone
 */
export async function together<T>(
  world: World | null,
  { timeout }: TogetherOptions,
  body: (peers: Peers) => Promise<T>,
): Promise<T> {
  if (world === null) return await body(ALONE);
  const { rank, size, host, port, served, attempt } = world;
  using store = new Store({ host, port, serves: rank === 0 && !served, timeout, prefix: `stec/${attempt}` });
  let group: ProcessGroup | undefined;
  try {
    group = new ProcessGroup(store, { rank, size, timeout, host });
    const result = await body(group);
    group[Symbol.dispose]();
    return result;
  } catch (error) {
    throw await explain(error, world, timeout, store, () => group?.[Symbol.dispose]());
  }
}

/** The keys under which failing processes tell each other what happened. */
const REASON = (rank: number) => `failed/${rank}`, EXPLAINED = "explained";

/**
 * What to report for an error. A process that failed by itself says why, then closes its connections. That makes the
 * others fail in whatever they compute together; they look for the one that said why, or did not say anything.
 */
async function explain(
  error: unknown,
  world: World,
  timeout: number,
  store: Store,
  close: () => void,
): Promise<unknown> {
  const lost = isLost(error), deadline = performance.now() + ROLL_CALL_MS;
  let explained: unknown = error;
  try {
    await within(deadline, store.set(REASON(world.rank), lost ? "" : messageOf(error)));
    close();
    if (lost) {
      explained = await within(deadline + ROLL_CALL_MS, findCulprit(error, world, timeout, store, deadline));
    }
    await within(deadline + 2 * ROLL_CALL_MS, leave(world, store, deadline));
  } catch {
    // The store is with process 0: where it cannot be reached, that one is gone.
    close();
    if (lost) explained = culprit("rank 0, which keeps the store, is gone or stuck", error);
  }
  return explained;
}

/** Whether an error means that another process is lost, by the words of Gloo, NCCL and c10d. */
function isLost(error: unknown): boolean {
  return error instanceof TorchError &&
    /gloo\/(transport|rendezvous)|NCCL|socket|connection|timed? ?out/i.test(error.message);
}

function culprit(what: string, cause: unknown): Error {
  return new Error(`Cannot go on: ${what} (${messageOf(cause).split("\n")[0]})`, { cause });
}

/** Asks all others what they know until one has a reason, all have answered, or the deadline is over. */
async function findCulprit(
  error: unknown,
  { rank, size }: World,
  timeout: number,
  store: Store,
  deadline: number,
): Promise<unknown> {
  const others = Array.from({ length: size }, (_, i) => i).filter((other) => other !== rank);
  const silent = new Set(others);
  for (;;) {
    for (const other of silent) {
      const reason = await store.get(REASON(other));
      if (reason) return culprit(`rank ${other} failed: ${reason}`, error);
      if (reason !== null) silent.delete(other);
    }
    if (silent.size === 0) return culprit("the connections between the processes broke", error);
    if (performance.now() > deadline) break;
    await pause(POLL_MS);
  }
  const names = [...silent].map((other) => `rank ${other}`).join(" and ");
  const are = silent.size === 1 ? "is" : "are";
  return culprit(
    /timed? ?out/i.test(messageOf(error))
      ? `${names} did not answer within ${timeout} s (--dist_timeout)`
      : `${names} ${are} gone without a word: killed, or cut off`,
    error,
  );
}

/** Says that this process needs the store no longer; the one that keeps it waits for all that still do. */
async function leave({ rank, size, served }: World, store: Store, deadline: number): Promise<void> {
  let left = await store.add(EXPLAINED, 1);
  if (rank !== 0 || served) return;
  const alive = new Set([rank]);
  while (left < (performance.now() > deadline ? alive.size : size)) {
    await pause(POLL_MS);
    for (let other = 1; other < size; other++) if (await store.get(REASON(other)) !== null) alive.add(other);
    left = await store.add(EXPLAINED, 0);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Fails at the deadline if the promise has not been kept. */
async function within<T>(deadline: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer")), deadline - performance.now());
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
