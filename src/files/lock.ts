/**
 * A folder that belongs to one process for as long as that lives.
 *
 * @module
 */

import { messageOf } from "../base/errors.ts";

/** The file that is locked. It says who holds the lock. */
const NAME = ".lock";

/**
 * A lock on a folder, by `flock`: the kernel releases it when the process ends, however it ends. Network file systems
 * hold it between machines where they support locks; where they do not, `note` says so and nothing is held.
 */
export class FolderLock implements Disposable {
  readonly #folder: string;
  readonly #file: Deno.FsFile;

  /**
   * Takes the lock of a folder, which is made if it is missing.
   *
   * @param note is told what the user should know
   * @throws {Error} if another process holds it, which the error names, or the folder cannot be made
   */
  constructor(folder: string, note: (text: string) => void = () => {}) {
    this.#folder = folder;
    const path = `${folder}/${NAME}`;
    try {
      Deno.mkdirSync(folder, { recursive: true });
      this.#file = Deno.openSync(path, { read: true, write: true, create: true });
    } catch (error) {
      throw new Error(`Cannot write results to ${folder}: ${messageOf(error)}`, { cause: error });
    }
    try {
      if (!this.#file.tryLockSync(true)) {
        throw new Error(
          `Cannot write results to ${folder}: ${this.#holder()} is writing there; use another folder`,
        );
      }
      this.#sign();
    } catch (error) {
      const isRefused = error instanceof Error && error.message.startsWith("Cannot write results");
      if (isRefused) this.#file.close();
      if (isRefused) throw error;
      note(`The file system of ${folder} has no locks (${messageOf(error)}): start no second run there`);
    }
  }

  /**
   * Checks that the folder is still the one that was locked.
   *
   * @throws {Error} if it was removed or replaced
   */
  check(): void {
    try {
      const { ino, dev } = Deno.statSync(`${this.#folder}/${NAME}`), held = this.#file.statSync();
      if (ino === held.ino && dev === held.dev) return;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    throw new Error(
      `Cannot write results to ${this.#folder}: the folder was removed or replaced during the run`,
    );
  }

  /** Who holds the lock, by its own account. */
  #holder(): string {
    const bytes = new Uint8Array(200), read = this.#file.readSync(bytes) ?? 0;
    const text = new TextDecoder().decode(bytes.subarray(0, read)).trim();
    return text === "" ? "another process" : text;
  }

  #sign(): void {
    const since = new Date().toISOString().replace(/\.\d+Z$/, "Z");
    this.#file.truncateSync();
    this.#file.writeSync(new TextEncoder().encode(`process ${Deno.pid}, started at ${since},\n`));
  }

  /** Gives the lock back. The file stays: whoever removed it might remove another process's. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}
