/**
 * What the main thread and its decoding workers tell each other.
 *
 * @module
 */

import type { Cutting } from "./decode.ts";

/** Images to decode. Every worker gets the same job, and they take images of it in turn. */
export interface DecodeJob {
  /** Tells jobs apart. */
  readonly id: number;
  /** The files. */
  readonly paths: readonly string[];
  /** The place of each in the batch. */
  readonly places: readonly number[];
  /** What is cut out. */
  readonly cutting: Cutting;
  /** S, height and width of the results. */
  readonly size: number;
  /** How many files were taken: one 32-bit integer. */
  readonly taken: SharedArrayBuffer;
  /** Receives the results, first all views a, then all views b, if there are any: (N or 2N, 3, S, S). */
  readonly pixels: SharedArrayBuffer;
  /** Receives height and width of the images: (N, 2), 32-bit integers. */
  readonly sizes: SharedArrayBuffer;
  /** The memory that all workers may use, as budgets. */
  readonly memory: SharedDecodeMemory;
  /** Where the worker that gets the job says what it is at, a {@linkcode Station}'s. */
  readonly station: SharedArrayBuffer;
}

/** The memory of budgets. */
export interface SharedDecodeMemory {
  readonly pixels: SharedArrayBuffer;
  readonly bytes: SharedArrayBuffer;
}

/** A file that could not be decoded. */
export interface DecodeFailure {
  /** Its place in the batch. */
  readonly place: number;
  /** Why. */
  readonly reason: string;
}

/** What a worker answers when all files of a job are taken and its own are decoded. */
export interface DecodeReply {
  /** The job's. */
  readonly id: number;
  /** Those that this worker met. */
  readonly failures: readonly DecodeFailure[];
  /** The place of an image that is gray with 16 bits a pixel; null if this worker met none. */
  readonly gray16: number | null;
}

/** Bytes of shared memory, for libtorch, which takes them like all others, though the types of Deno do not say so. */
export function sharedBytes(
  memory: SharedArrayBuffer,
  start = 0,
  length: number = memory.byteLength - start,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(memory, start, length) as Uint8Array as Uint8Array<ArrayBuffer>;
}
