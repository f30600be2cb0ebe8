/**
 * What a set-up says while it works.
 *
 * @module
 */

import { printable } from "../base/printable.ts";

/** Where a set-up reports what it does. */
export interface Progress {
  /** Says that something has begun or ended. */
  say(text: string): void;
  /** Says how far something has come: a share from 0 to 1. */
  step(text: string, share: number): void;
}

/** Reports on standard error: on a terminal in a line that is written over, elsewhere every quarter of the way. */
export function stderrProgress(): Progress {
  const terminal = Deno.stderr.isTerminal();
  const write = (text: string) => Deno.stderr.writeSync(new TextEncoder().encode(text));
  let last = "";
  return {
    say(text) {
      const line = printable(text);
      write(terminal ? `\r\x1b[K${line}\n` : `${line}\n`);
    },
    step(text, share) {
      const percent = Math.floor(terminal ? share * 100 : Math.floor(share * 4) * 25);
      const line = `${printable(text)}: ${percent}%`;
      if (line === last || percent === 0) return;
      last = line;
      write(terminal ? `\r\x1b[K${line}${share >= 1 ? "\n" : ""}` : `${line}\n`);
    },
  };
}
