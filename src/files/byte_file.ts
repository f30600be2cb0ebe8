/**
 * A file that is read in places, synchronously: libtorch's scopes do not span an `await`.
 *
 * @module
 */

/** A file open for reading at given positions. Dispose of it to close it. */
export class ByteFile {
  /** The path as given, for messages. */
  readonly path: string;
  /** The file's length in bytes when it was opened. */
  readonly size: number;
  readonly #file: Deno.FsFile;
  #closed = false;

  /** Opens a file; throws what {@linkcode Deno.openSync} throws, or a `TypeError` for anything that is no file. */
  constructor(path: string) {
    this.path = path;
    this.#file = open(path);
    this.size = this.#file.statSync().size;
  }

  /** Fills `target` with the bytes from `offset` on; throws where the file ends before. */
  readInto(offset: number, target: Uint8Array): void {
    if (this.#closed) throw new Error(`Cannot read ${this.path}: it has been closed`);
    if (target.length === 0) return;
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    for (let filled = 0; filled < target.length;) {
      const read = this.#file.readSync(target.subarray(filled));
      if (read === null) {
        throw new RangeError(
          `Cannot read ${target.length} bytes at ${offset} of ${this.path}: the file ends at ${
            offset + filled
          }`,
        );
      }
      filled += read;
    }
  }

  /** The `length` bytes from `offset` on. The caller has checked that the file is as long. */
  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    this.readInto(offset, bytes);
    return bytes;
  }

  /** Closes the file; what is read lazily from it cannot be read any more. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#file.close();
  }
}

function open(path: string): Deno.FsFile {
  try {
    // Before it is opened: that alone waits for a writer where it is a pipe.
    if (!Deno.statSync(path).isFile) throw new TypeError(`Cannot read ${path}: it is not a file`);
    return Deno.openSync(path, { read: true });
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
    throw new Deno.errors.NotFound(`Cannot read ${path}: there is no such file`, { cause: thrown });
  }
}
