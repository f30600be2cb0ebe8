/**
 * Who is to blame when processes cannot go on together.
 *
 * @module
 */

import { messageOf } from "../base/errors.ts";
import { TorchError } from "../torch/library.ts";
import { pollUntil, within } from "./poll.ts";
import { PeerLostError, type Store } from "./store.ts";
import type { World } from "./world.ts";

/** How long the others have to report after a failure. */
const ROLL_CALL_MS = 3000;
/** How long the process that keeps the store waits for those that still read it. */
const LEAVE_MS = 3000;

/** The key under which a process says why it failed by itself. */
export function failedKey(rank: number): string {
  return `failed/${rank}`;
}

/** The key under which a process says how it noticed that another one is lost. */
function lostKey(rank: number): string {
  return `lost/${rank}`;
}

/** The key of a count that grows while a process is alive. */
export function pulseKey(rank: number): string {
  return `pulse/${rank}`;
}

/** The key that is set when processes give up waiting since they were asked to stop. */
export const STOPPING = "stopping";
/** The key of the number of processes that have found out what to report. */
const EXPLAINED = "explained";

/** What to say, and the processes that will not be heard of any more. */
interface Verdict {
  readonly sentence: string;
  readonly gone: readonly number[];
}

/** What a process needs to know to find who is to blame. */
export interface Circumstances {
  readonly world: World;
  /** Seconds after which a process that does not answer is given up. */
  readonly timeout: number;
  readonly store: Store;
  /** Closes this process's connections, which makes the others fail in what they compute together. */
  readonly close: () => void;
}

/**
 * What to report for an error. A process that failed by itself says why to the others, then closes its connections. The
 * others then fail, report that, and look for the process that failed by itself or does not report.
 */
export async function explain(error: unknown, circumstances: Circumstances): Promise<unknown> {
  const { world, store, close } = circumstances, { rank, host, port, served } = world;
  const lost = isLost(error), key = lost ? lostKey(rank) : failedKey(rank);
  let explained: unknown = lost ? undefined : error, gone: readonly number[] = [];
  try {
    await within(ROLL_CALL_MS, store.set(key, messageOf(error)));
    close();
    if (lost) {
      const verdict = await within(2 * ROLL_CALL_MS, callRoll(error, circumstances));
      gone = verdict.gone;
      explained = cannotGoOn(verdict.sentence, error);
    }
    await within(LEAVE_MS + ROLL_CALL_MS, leave(world, store, gone));
  } catch {
    close();
    const keeper = served ? `the store at ${host}:${port}` : "rank 0, which keeps the store,";
    explained ??= cannotGoOn(`${keeper} has ended or is stuck`, error);
  }
  return explained;
}

/** Whether an error means that another process is lost, by the words of Gloo, NCCL and c10d. */
function isLost(error: unknown): boolean {
  return error instanceof PeerLostError || error instanceof TorchError &&
      /gloo\/(transport|rendezvous)|NCCL|socket|connection|timed? ?out/i.test(error.message);
}

function isTimeout(message: string): boolean {
  return /timed? ?out/i.test(message);
}

function cannotGoOn(what: string, cause: unknown): Error {
  return new Error(`Cannot go on: ${what} (${gist(messageOf(cause))})`, { cause });
}

/** The first line of a message, and what NCCL says after "Last error:". */
export function gist(message: string): string {
  const [first] = message.split("\n"), [, last] = /Last error:\s*([^\n]+)/.exec(message) ?? [];
  return last === undefined || first.includes(last) ? first : `${first}; last error: ${last}`;
}

/** Waits for the others' reports until one has failed by itself, all have reported, or the time is over. */
async function callRoll(error: unknown, { world, timeout, store }: Circumstances): Promise<Verdict> {
  const silent = new Set(Array.from({ length: world.size }, (_, rank) => rank));
  silent.delete(world.rank);
  const pulses = await readPulses(silent, store);
  let late = isTimeout(messageOf(error));
  const verdict = await pollUntil<Verdict>(async () => {
    for (const rank of silent) {
      const reason = await store.get(failedKey(rank));
      if (reason !== null) return { gone: [], sentence: `rank ${rank} failed: ${reason}` };
      const noticed = await store.get(lostKey(rank));
      if (noticed === null) continue;
      late ||= isTimeout(noticed);
      silent.delete(rank);
    }
    return silent.size === 0 ? { gone: [], sentence: "the connections between the processes broke" } : null;
  }, ROLL_CALL_MS);
  if (verdict !== null) return verdict;
  // A process that is only busy, with a checkpoint for instance, has a pulse.
  const now = await readPulses(silent, store),
    still = [...silent].filter((rank) => now.get(rank) === pulses.get(rank));
  const gone = still.length > 0 ? still : [...silent];
  const names = gone.map((rank) => `rank ${rank}`).join(" and ");
  if (await store.get(STOPPING) !== null) {
    return { gone, sentence: `${names} did not answer when asked to stop` };
  }
  if (late) return { gone, sentence: `${names} did not answer within ${timeout} s (--dist_timeout)` };
  const are = gone.length === 1 ? "is" : "are";
  return { gone, sentence: `${names} ${are} gone without a word: killed, or cut off` };
}

/** The pulses of processes; null where there is none yet. */
export async function readPulses(
  ranks: Iterable<number>,
  store: Store,
): Promise<Map<number, string | null>> {
  const pulses = new Map<number, string | null>();
  for (const rank of ranks) pulses.set(rank, await store.get(pulseKey(rank)));
  return pulses;
}

/** Says that this process needs the store no longer; the one that keeps it waits for all that still do. */
async function leave({ rank, size, served }: World, store: Store, gone: readonly number[]): Promise<void> {
  await store.add(EXPLAINED, 1);
  if (rank !== 0 || served) return;
  const others = size - gone.length;
  await pollUntil(async () => await store.add(EXPLAINED, 0) >= others ? true : null, LEAVE_MS);
}
