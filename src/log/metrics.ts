/**
 * Metrics as JSON lines: one object a line with the step, the epoch, the time and every value by its name.
 *
 * @module
 */

import { append, writeAtomically, writeFully } from "../files/atomic.ts";

/** How {@linkcode MetricsLog} behaves. */
export interface MetricsLogOptions {
  /** The step that the run continues from: what the file holds of later steps is cut away. Default 0: all of it. */
  readonly resumeStep?: number;
  /** Milliseconds since 1970, `Date.now` unless a test brings its own clock. */
  readonly now?: () => number;
}

/**
 * Appends to a file of JSON lines, for instance
 * `{"step":120,"epoch":3,"time":1700000000.25,"train/loss":4.2}`. A value that is not finite becomes `null`,
 * as JSON knows no other. Every line goes to the operating system at once.
 *
 * @example
 * ```ts
 * import { MetricsLog } from "./metrics.ts";
 * using log = new MetricsLog(`${Deno.makeTempDirSync()}/metrics.jsonl`);
 * log.write(1, 0, { "train/loss": 4.2, "learning_rate": 0 });
 * ```
 */
export class MetricsLog implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  readonly #now: () => number;

  /** Opens the file, cuts away what a resumed run will write again, and goes on behind it. */
  constructor(path: string, options: MetricsLogOptions = {}) {
    this.#path = path;
    this.#now = options.now ?? Date.now;
    cutMetrics(path, options.resumeStep ?? 0);
    this.#file = Deno.openSync(path, { append: true, create: true });
  }

  /** Adds a line. */
  write(step: number, epoch: number, values: Readonly<Record<string, number>>): void {
    const line = JSON.stringify({ step, epoch, time: this.#now() / 1000, ...values });
    append(this.#path, this.#file, new TextEncoder().encode(line + "\n"));
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/** Rewrites the file without lines of later steps and without a line that a crash left unfinished. */
function cutMetrics(path: string, lastStep: number): void {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  const kept = text.split("\n").slice(0, -1).filter((line) => (stepOf(line) ?? Infinity) <= lastStep);
  const left = kept.map((line) => line + "\n").join("");
  if (left !== text) writeAtomically(path, (file) => writeFully(file, new TextEncoder().encode(left)));
}

/** The step of a line, or nothing where it is none of ours. */
function stepOf(line: string): number | undefined {
  try {
    const { step } = JSON.parse(line);
    return typeof step === "number" ? step : undefined;
  } catch {
    return undefined;
  }
}

/** Means of named values, each over the times that it was added, weighted. */
export class RunningMeans {
  readonly #sums = new Map<string, { sum: number; weight: number }>();

  /** Adds values, for instance of one batch with the number of its images as weight. */
  add(values: Readonly<Record<string, number>>, weight = 1): void {
    for (const [name, value] of Object.entries(values)) {
      const total = this.#sums.get(name) ?? { sum: 0, weight: 0 };
      this.#sums.set(name, { sum: total.sum + weight * value, weight: total.weight + weight });
    }
  }

  /** The means so far, by name. */
  means(): Record<string, number> {
    return Object.fromEntries([...this.#sums].map(([name, { sum, weight }]) => [name, sum / weight]));
  }
}
