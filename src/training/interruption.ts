/**
 * Waiting that a request to stop ends.
 *
 * @module
 */

import type { PlainImages } from "../data/dataset.ts";

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

/** When signals were last let in. */
let yielded = 0;

/** Lets signals in, ten times a second: steps block the event loop, and only a timer's turn lets it look at signals. */
export async function yieldToSignals(): Promise<void> {
  if (performance.now() - yielded < 100) return;
  await new Promise((resolve) => setTimeout(resolve));
  yielded = performance.now();
}

/** The same images, whose batches end early where the signal asks to stop. */
export function untilStopped(images: PlainImages, signal: Pick<AbortSignal, "aborted">): PlainImages {
  const { name, count, classes, notes } = images;
  return {
    name,
    count,
    classes,
    notes,
    async *batches(batchSize) {
      for await (const batch of images.batches(batchSize)) {
        yield batch;
        await yieldToSignals();
        if (signal.aborted) return;
      }
    },
    [Symbol.asyncDispose]: () => images[Symbol.asyncDispose](),
  };
}
