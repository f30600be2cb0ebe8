/**
 * Looking up what callers name by text.
 *
 * @module
 */

/**
 * The entry of a table with a name that may be misspelled, since not every caller's types are checked.
 *
 * @throws {TypeError} if there is none: it names those that there are
 */
export function lookUp<T>(table: Readonly<Record<string, T>>, name: string, what: string): T {
  if (Object.hasOwn(table, name)) return table[name];
  throw new TypeError(`Cannot use the ${what} ${JSON.stringify(name)}: use ${Object.keys(table).join(", ")}`);
}
