/**
 * Batches of crops of image files.
 *
 * @module
 */

import type { Cutting } from "./decode.ts";
import { type DecodeFailure, sharedBytes } from "./decode_job.ts";
import type { DecodePool } from "./decode_pool.ts";
import type { ImageFiles } from "./image_folder.ts";

/** So many files of an epoch may fail in any case. */
const FAILURES_ALLOWED = 10;
/** The share of an epoch's files that may fail. */
const SHARE_ALLOWED = 0.001;

/** A batch to load. */
export interface CropRequest {
  /** Numbers of the files. */
  readonly picked: Uint32Array<ArrayBuffer>;
  /** The epoch that they belong to. */
  readonly epoch: number;
  /** What is cut out of each. */
  readonly cutting: Cutting;
  /** Draws another file for a place whose file cannot be decoded; null: the place stays empty. */
  readonly redraw: ((place: number) => number) | null;
}

/** A batch of crops. */
export interface Crops {
  /** First all views a, then all views b, if there are any: (N or 2N, 3, S, S). At an empty place is anything. */
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** Height and width of the image at each place, (N, 2); zeros at an empty one. */
  readonly sizes: Int32Array<ArrayBuffer>;
  /** The number of the file at each place. */
  readonly picked: Uint32Array<ArrayBuffer>;
  /** Lets a batch that is loaded from now on use the memory of the pixels. */
  release(): void;
}

/** Loads crops of a set of files, and keeps account of those that cannot be decoded. */
export class CropLoader {
  readonly #files: ImageFiles;
  readonly #size: number;
  readonly #pool: Pick<DecodePool, "run">;
  readonly #notes: string[];
  readonly #processes: number;
  /** Why files failed. */
  readonly #reasons = new Map<number, string>();
  /** The files that failed in each epoch; the next one is begun before the last batch of an epoch is used. */
  readonly #failed = new Map<number, Set<number>>();
  #stop: Error | null = null;
  #metGray16 = false;
  readonly #free: SharedArrayBuffer[] = [];

  /**
   * Loads by way of a pool that others may use as well.
   *
   * @param size S, height and width of the crops
   * @param notes receives a sentence on each file that cannot be decoded
   * @param processes how many share the files of an epoch
   */
  constructor(
    files: ImageFiles,
    size: number,
    pool: Pick<DecodePool, "run">,
    notes: string[],
    processes = 1,
  ) {
    this.#files = files;
    this.#size = size;
    this.#pool = pool;
    this.#notes = notes;
    this.#processes = processes;
  }

  /**
   * Loads a batch.
   *
   * @throws {Error} with the list of files that cannot be decoded, if there are too many
   */
  async load({ picked, epoch, cutting, redraw }: CropRequest): Promise<Crops> {
    const count = picked.length,
      views = cutting.kind === "views" ? cutting.geometry.length : 1,
      size = this.#size;
    const files = picked.slice(), sizes = new SharedArrayBuffer(8 * count);
    const pixels = this.#memory(views * count * 3 * size * size);
    for (let places = [...files.keys()]; places.length > 0;) {
      const paths = places.map((place) => this.#path(files[place]));
      const { failures, gray16 } = await this.#pool.run({ paths, places, cutting, size, pixels, sizes });
      if (gray16 !== null) this.#noteGray16(files[gray16]);
      for (const failure of failures) this.#account(epoch, files[failure.place], failure, redraw !== null);
      if (redraw === null) break;
      places = failures.map(({ place }) => place);
      for (const place of places) files[place] = redraw(place);
    }
    const release = () => {
      if (!this.#free.includes(pixels)) this.#free.push(pixels);
    };
    return {
      pixels: sharedBytes(pixels),
      sizes: Int32Array.from(new Int32Array(sizes)),
      picked: files,
      release,
    };
  }

  #noteGray16(file: number): void {
    if (this.#metGray16) return;
    this.#metGray16 = true;
    this.#notes.push(
      `${
        this.#path(file)
      } is gray with 16 bits a pixel: of such images the upper 8 bits are used, so values from 0 to ` +
        `65535 become 0 to 255`,
    );
  }

  #path(file: number): string {
    return `${this.#files.root}/${this.#files.paths[file]}`;
  }

  #memory(bytes: number): SharedArrayBuffer {
    const fitting = this.#free.findIndex((memory) => memory.byteLength === bytes);
    return fitting >= 0 ? this.#free.splice(fitting, 1)[0] : new SharedArrayBuffer(bytes);
  }

  /** Keeps account of a failure. Whether a damaged file fails may depend on what is cut out of it. */
  #account(epoch: number, file: number, { reason }: DecodeFailure, replaced: boolean): void {
    if (this.#stop !== null) throw this.#stop;
    const { paths, root } = this.#files, failed = this.#failedIn(epoch).add(file).size;
    if (!this.#reasons.has(file)) {
      const known = this.#reasons.set(file, reason).size;
      const consequence = replaced ? "another image takes its place" : "it is left out";
      this.#notes.push(`Cannot decode ${this.#path(file)}: ${reason}; ${consequence} (${known} so far)`);
    }
    const allowed = Math.max(FAILURES_ALLOWED, SHARE_ALLOWED * paths.length / this.#processes);
    if (failed <= allowed && this.#reasons.size < paths.length) return;
    const list = Array.from(this.#reasons, ([file, reason]) => `\n  ${this.#path(file)}: ${reason}`);
    this.#stop = new Error(
      `Cannot decode ${list.length} of the ${paths.length} images in ${root}:${list.join("")}`,
    );
    throw this.#stop;
  }

  #failedIn(epoch: number): Set<number> {
    const failed = this.#failed.get(epoch) ?? new Set();
    this.#failed.set(epoch, failed);
    this.#failed.delete(epoch - 2);
    return failed;
  }
}
