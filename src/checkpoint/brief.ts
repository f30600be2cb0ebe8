/**
 * Values from files in messages: one line of bounded length, whatever a hostile file holds.
 *
 * @module
 */

import { PickleGlobal, PickleObject } from "./pickle_values.ts";

/**
 * A value on one line of at most about `limit` characters, as JSON has it, and text as it is. The work is bounded as the
 * line is: lists that contain the same list over and over would unfold to more than any memory holds.
 */
export function brief(value: unknown, limit = 200): string {
  if (typeof value === "string") return oneLine(clipped(value, limit));
  const line = new Line(limit);
  write(line, value);
  return line.text;
}

/** A line that takes text until it is full. */
class Line {
  text = "";
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get isFull(): boolean {
    return this.text.length > this.#limit;
  }

  add(text: string): void {
    if (!this.isFull) this.text = clipped(this.text + text, this.#limit);
  }
}

/** Every level adds a bracket, so a full line ends the recursion too. */
function write(line: Line, value: unknown): void {
  if (typeof value === "string") line.add(JSON.stringify(clipped(value, 1000)));
  else if (typeof value !== "object" || value === null) line.add(String(value));
  else if (Array.isArray(value)) writeAll(line, "[]", value, write);
  else if (value instanceof Map) writeAll(line, "{}", value, writeEntry);
  else if (value instanceof Set) writeAll(line, "{}", value, write);
  else if (value instanceof PickleGlobal) line.add(`<${value.path}>`);
  else if (value instanceof PickleObject) line.add(`<object of ${value.module}.${value.name}>`);
  else if (Object.getPrototypeOf(value) === Object.prototype) {
    writeAll(line, "{}", Object.entries(value), writeEntry);
  } else line.add(`<${value.constructor.name}>`);
}

function writeEntry(line: Line, [key, value]: readonly [unknown, unknown]): void {
  write(line, key);
  line.add(": ");
  write(line, value);
}

function writeAll<T>(
  line: Line,
  [open, close]: string,
  items: Iterable<T>,
  writeItem: (line: Line, item: T) => void,
): void {
  line.add(open);
  let isFirst = true;
  for (const item of items) {
    if (line.isFull) return;
    if (!isFirst) line.add(", ");
    isFirst = false;
    writeItem(line, item);
  }
  line.add(close);
}

function clipped(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit)}...` : text;
}

/** Line breaks and tabs escaped. What else could drive a terminal is escaped where text reaches it. */
function oneLine(text: string): string {
  return text.replace(/[\t\n\r\u2028\u2029]/g, (each) => JSON.stringify(each).slice(1, -1));
}
