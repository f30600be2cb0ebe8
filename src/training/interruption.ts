/**
 * Waiting that a request to stop ends.
 *
 * @module
 */

/** How often the signal is looked at. */
const LOOK_MS = 50;

/** What a promise resolves to; null if the signal asks to stop before that. The promise's own failure is heard of no more. */
export async function unlessStopped<T>(
  promise: Promise<T> | T,
  signal: Pick<AbortSignal, "aborted">,
): Promise<T | null> {
  const stop = Promise.withResolvers<null>();
  const timer = setInterval(() => signal.aborted && stop.resolve(null), LOOK_MS);
  try {
    return await Promise.race([promise, stop.promise]);
  } finally {
    clearInterval(timer);
  }
}
