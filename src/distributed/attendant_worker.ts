/** The Worker of `attendant.ts`. Its first message has the options, its second the handle of the process group. */

import { onOrphaned, onStopSignals } from "../launch/signals.ts";
import { native } from "../torch/library.ts";
import type { AttendantOptions } from "./attendant.ts";
import { pulseKey, readPulses, STOPPING } from "./blame.ts";
import { within } from "./poll.ts";
import { Store } from "./store.ts";

/** How often a process shows that it is alive. */
const PULSE_MS = 500;
/** How long a process without a pulse is waited for once the run is asked to stop. */
const STILL_MS = 5000;

/** This module's global scope, a Worker's, as far as it is used here. */
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<AttendantOptions | number>) => void;
};

let group = 0;

scope.onmessage = ({ data }) => {
  if (typeof data === "number") group = data;
  else attend(data);
};

function attend({ store: handle, rank, size }: AttendantOptions): void {
  const store = Store.borrow(handle),
    others = Array.from({ length: size }, (_, i) => i).filter((i) => i !== rank);
  const pulse = setInterval(() => {
    // Without the store, the main thread finds out by itself.
    store.add(pulseKey(rank), 1).catch(() => clearInterval(pulse));
  }, PULSE_MS);
  let asked = false;
  const stop = async () => {
    if (asked) return;
    asked = true;
    if (await haveAllPulse(others, store)) return;
    await within(PULSE_MS, store.set(STOPPING, "")).catch(() => {});
    native.stec_group_break(group);
  };
  onStopSignals(stop, () => {});
  onOrphaned(stop);
}

async function haveAllPulse(ranks: readonly number[], store: Store): Promise<boolean> {
  try {
    const before = await within(STILL_MS, readPulses(ranks, store));
    await new Promise((resolve) => setTimeout(resolve, STILL_MS));
    const after = await within(STILL_MS, readPulses(ranks, store));
    return ranks.every((rank) => before.get(rank) !== after.get(rank));
  } catch {
    return false;
  }
}
