/**
 * The progress of a run: one line that is drawn over and over on a terminal, plain lines anywhere else.
 *
 * @module
 */

import { printable } from "../base/printable.ts";

/** What is shown of a run at one moment. */
export interface Progress {
  /** The current epoch, from 1, and how many there are. */
  readonly epoch: number;
  /** How many epochs there are. */
  readonly epochs: number;
  /** Steps done in this epoch. */
  readonly step: number;
  /** Steps of an epoch. */
  readonly steps: number;
  /** Losses and accuracies under the short names to show, the most important first. */
  readonly values: Readonly<Record<string, number>>;
  /** Images per second. */
  readonly imagesPerSecond: number;
  /** Seconds until the run ends. */
  readonly secondsLeft: number;
  /** The share of time spent waiting for data, in [0, 1]. */
  readonly waitingShare: number;
}

/** Where and how often progress is written. */
export interface ProgressOptions {
  /** Takes the text. */
  readonly write: (text: string) => void;
  /** The width of the terminal in columns, or undefined where there is none: then plain lines are written. */
  readonly columns: () => number | undefined;
  /** Milliseconds, `performance.now` unless a test brings its own clock. */
  readonly now?: () => number;
  /** Milliseconds between two drawings on a terminal; default 100. */
  readonly redrawEvery?: number;
  /** Milliseconds between two plain lines; default 10,000. */
  readonly lineEvery?: number;
}

const BAR_MIN = 6, BAR_MAX = 30;

/** A time span as `12s`, `3:07` or `26:03:07`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const pad = (value: number) => String(value % 60).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes}:${pad(whole)}`
    : `${Math.floor(minutes / 60)}:${pad(minutes)}:${pad(whole)}`;
}

/**
 * Progress as one line. With a width, the line is at most that long: it begins with a bar where one fits
 * beside all parts, and loses its last parts where they do not fit themselves.
 */
export function renderProgress(progress: Progress, width = Infinity): string {
  const { epoch, epochs, step, steps, values } = progress;
  const parts = [
    `epoch ${epoch}/${epochs}`,
    `step ${String(step).padStart(String(steps).length)}/${steps}`,
    ...Object.entries(values).map(([name, value]) => `${name.trimEnd()} ${value.toFixed(3)}`),
    `${progress.imagesPerSecond.toFixed(0)} images/s`,
    `${formatDuration(progress.secondsLeft)} left`,
    `data ${(100 * progress.waitingShare).toFixed(0)}%`,
  ];
  const room = width - parts.join("  ").length - 4;
  while (parts.length > 1 && parts.join("  ").length > width) parts.pop();
  const text = parts.join("  ");
  if (room < BAR_MIN || !Number.isFinite(width)) return text.slice(0, width);
  const length = Math.min(BAR_MAX, room), filled = steps > 0 ? Math.round(length * step / steps) : 0;
  return `[${"=".repeat(filled)}${" ".repeat(length - filled)}]  ${text}`;
}

/** Writes progress: redrawn in place on a terminal, else a plain line from time to time. */
export class ProgressWriter {
  readonly #options: ProgressOptions;
  readonly #now: () => number;
  #last?: Progress;
  #written = -Infinity;
  #shown?: Progress;

  /** A writer to the given output. */
  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Takes the news, and writes them unless it wrote a moment ago. */
  update(progress: Progress): void {
    this.#last = progress;
    const { columns, redrawEvery = 100, lineEvery = 10_000 } = this.#options;
    const every = columns() === undefined ? lineEvery : redrawEvery;
    if (this.#now() - this.#written >= every) this.#draw(progress);
  }

  /** Writes a line of text that stays, above the bar. */
  note(text: string): void {
    const line = printable(text);
    if (this.#options.columns() === undefined) return this.#options.write(line + "\n");
    this.#options.write(`\r\x1b[K${line}\n`);
    if (this.#shown !== undefined) this.#draw(this.#shown);
  }

  /** Writes the last news, if they were held back, and ends the line. */
  finish(): void {
    if (this.#last === undefined) return;
    if (this.#last !== this.#shown) this.#draw(this.#last);
    if (this.#options.columns() !== undefined) this.#options.write("\n");
    this.#last = this.#shown = undefined;
  }

  /** One write for the whole line, and no blanking before it, so that nothing flickers. */
  #draw(progress: Progress): void {
    const columns = this.#options.columns();
    // The last column stays free: some terminals wrap as soon as it is filled.
    const line = renderProgress(progress, columns === undefined ? undefined : Math.max(1, columns - 1));
    this.#options.write(columns === undefined ? line + "\n" : `\r${line}\x1b[K`);
    this.#written = this.#now();
    this.#shown = progress;
  }
}

/** Options that write to the standard error output, as a terminal where it is one. */
export function standardError(): ProgressOptions {
  const encoder = new TextEncoder(), isTerminal = Deno.stderr.isTerminal();
  return {
    write: (text) => {
      try {
        Deno.stderr.writeSync(encoder.encode(text));
      } catch {
        // Nobody reads any more, as where a terminal was closed: a run goes on all the same.
      }
    },
    columns: () => isTerminal ? consoleColumns() : undefined,
  };
}

/** The width of the terminal; 80 where it does not tell. */
function consoleColumns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}
