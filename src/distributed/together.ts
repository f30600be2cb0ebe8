/**
 * Processes that stand and fall together.
 *
 * @module
 */

import { ALONE, type Peers } from "../nn/peers.ts";
import { Attendant } from "./attendant.ts";
import { explain } from "./blame.ts";
import { ProcessGroup } from "./process_group.ts";
import { Store } from "./store.ts";
import type { World } from "./world.ts";

/** How processes work together. */
export interface TogetherOptions {
  /** Seconds after which a process that does not answer is given up. */
  readonly timeout: number;
}

/**
 * Runs a body as one of several processes. If one of them fails, is killed or does not answer any more, the body fails
 * in all of them, and the error says which process it was and why. After `part`, each goes on by itself.
 *
 * @param world null: this process is alone
 */
export async function together<T>(
  world: World | null,
  { timeout }: TogetherOptions,
  body: (peers: Peers) => Promise<T>,
): Promise<T> {
  if (world === null) return await body(ALONE);
  const { rank, size, host, port, served, run, attempt } = world;
  using store = new Store({
    host,
    port,
    serves: rank === 0 && !served,
    timeout,
    prefix: `stec/${run}/${attempt}`,
  });
  using attendant = new Attendant(store, rank, size);
  let group: ProcessGroup | undefined;
  try {
    await refuseDouble(store, rank);
    group = new ProcessGroup(store, { rank, size, timeout, host });
    attendant.attend(group);
    const result = await body(group);
    group.part();
    return result;
  } catch (error) {
    if (group?.hasParted) throw error;
    const close = () => group?.[Symbol.dispose]();
    throw await explain(error, { world, timeout, store, close });
  }
}

/** Two launchers may have given out the same place. */
async function refuseDouble(store: Store, rank: number): Promise<void> {
  if (await store.add(`rank/${rank}`, 1) === 1) return;
  throw new Error(`Cannot train together: another process is rank ${rank} of this run`);
}
