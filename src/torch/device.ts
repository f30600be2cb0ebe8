/**
 * Where tensors live and how many threads work on them.
 *
 * @module
 */

import { check, native } from "./library.ts";

/** Sets how many threads one operator may use. */
export function setThreads(threads: number): void {
  check(native.stec_set_threads(threads), "set the number of threads");
}

/** How many threads one operator may use. */
export function threads(): number {
  return check(native.stec_threads(), "read the number of threads");
}
