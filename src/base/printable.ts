/**
 * Text on its way to a terminal.
 *
 * @module
 */

/**
 * Text as it may reach a terminal: control characters, which could drive it or hide text, as `\\u` and their number.
 * Line breaks and tabs stay. Names in files and data sets are others' text, so every way to the terminal leads through here.
 */
export function printable(text: string): string {
  const escape = (each: string) => `\\u${each.codePointAt(0)!.toString(16).padStart(4, "0")}`;
  return text.replace(/(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, escape);
}
