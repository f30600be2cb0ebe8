/**
 * Waiting for other processes, with an end.
 *
 * @module
 */

const POLL_MS = 50;

/** Asks until the answer is not null, or the time is over: then it is null. */
export async function pollUntil<T>(ask: () => Promise<T | null>, milliseconds: number): Promise<T | null> {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    const answer = await ask();
    if (answer !== null || performance.now() > deadline) return answer;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Fails when the time is over and the promise has not been kept. */
export async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer")), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
