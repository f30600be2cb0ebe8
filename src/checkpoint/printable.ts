/**
 * Text from files, made fit for messages.
 *
 * @module
 */

/**
 * Text that can be printed: control characters, which could drive the terminal or break the line, as `\u` and their
 * number, and no more than `limit` characters.
 */
export function printable(text: string, limit = 200): string {
  const clipped = text.length > limit ? `${text.slice(0, limit)}...` : text;
  const escape = (each: string) => `\\u${each.codePointAt(0)!.toString(16).padStart(4, "0")}`;
  return clipped.replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, escape);
}
