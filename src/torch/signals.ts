/**
 * The one signal that Deno does not leave to its programs.
 *
 * @module
 */

import { check, native } from "./library.ts";

const SIGUSR1 = 10, SIGTERM = 15;

/**
 * Makes SIGUSR1 mean SIGTERM. Deno would open its inspector on it, on a port that every user of the machine reaches,
 * whatever listeners there are. Call it once Deno's own handler is in place: after adding a listener for SIGUSR1.
 */
export function stopOnUserSignal(): void {
  check(native.stec_replace_signal(SIGUSR1, SIGTERM), "handle SIGUSR1");
}
