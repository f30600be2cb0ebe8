/**
 * The errors that the command line tells apart.
 *
 * @module
 */

/** A command line that cannot be understood: reported in one sentence, exit status 2. */
export class UsageError extends Error {
  /** Tells it from other errors. */
  override readonly name = "UsageError";
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Runs a body that collects notes, and tells those that it leaves in the list, before an error as well. */
export async function tellingNotes<T>(
  tell: (note: string) => void,
  body: (notes: string[]) => T | Promise<T>,
): Promise<T> {
  const notes: string[] = [];
  try {
    return await body(notes);
  } finally {
    notes.forEach(tell);
  }
}
