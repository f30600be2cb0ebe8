/**
 * The only place that loads native code: libtorch through the shim in `native/`, its symbols, its frame and its errors.
 *
 * Grad mode, autocast and the last error belong to the calling thread, so no symbol is called with `nonblocking`, but
 * for those of the store, which use none of them.
 *
 * @module
 */

import { type NativeManifest, readManifest } from "../setup/manifest.ts";

const ABI_VERSION = 7;

/** The most arguments, or results, of one call (STEC_SLOTS). */
const SLOTS = 64;
/** Numbers, handles or eight bytes of text that lists of one call may hold (STEC_PAYLOAD). */
export const PAYLOAD = 1 << 17;

/** The handle of what was freed: none that the shim would take, nor the 0 that stands for None. */
export const FREED = -1;

/** `native/stec.h`, function by function. Numbers that do not fit 32 bits cross as doubles: see the header. */
const SYMBOLS = {
  stec_abi_version: { parameters: [], result: "u32" },
  stec_use_frame: { parameters: ["buffer", /* memory */ "f64" /* bytes */], result: "i32" },
  stec_last_error: { parameters: ["buffer", /* out */ "u32" /* capacity */], result: "u32" },
  stec_describe: { parameters: ["buffer", /* out */ "u32" /* capacity */], result: "i32" },
  stec_set_threads: { parameters: ["u32" /* threads */], result: "i32" },
  stec_threads: { parameters: [], result: "i32" },
  stec_replace_signal: { parameters: ["i32", /* signal */ "i32" /* by */], result: "i32" },
  stec_find_operator: { parameters: ["buffer", /* name */ "u32" /* length */], result: "i32" },
  stec_operator_schema: {
    parameters: ["u32", /* op */ "buffer", /* out */ "u32" /* capacity */],
    result: "i32",
  },
  stec_operator_schemas: {
    parameters: ["buffer", /* name */ "u32", /* length */ "buffer", /* out */ "u32" /* capacity */],
    result: "i32",
  },
  stec_call: { parameters: ["u32", /* op */ "u32" /* arguments */], result: "i32" },
  stec_tensor_from_bytes: {
    parameters: ["buffer", /* data */ "f64", /* bytes */ "i32", /* dtype */ "u32" /* dimensions */],
    result: "f64",
  },
  stec_tensor_borrow_bytes: {
    parameters: [
      "buffer", /* data */
      "f64", /* bytes */
      "i32", /* dtype */
      "u32", /* dimensions */
      "f64", /* ticket */
    ],
    result: "f64",
  },
  stec_released: { parameters: [], result: "i32" },
  stec_tensor_copy_bytes: {
    parameters: ["f64", /* tensor */ "buffer", /* out */ "f64" /* bytes */],
    result: "i32",
  },
  stec_tensor_put_bytes: {
    parameters: ["f64", /* tensor */ "f64", /* offset */ "buffer", /* data */ "f64" /* bytes */],
    result: "i32",
  },
  stec_tensor_info: { parameters: ["f64" /* tensor */], result: "i32" },
  stec_tensor_same: { parameters: ["f64", /* a */ "f64" /* b */], result: "i32" },
  stec_tensor_free: { parameters: ["f64" /* tensor */], result: "i32" },
  stec_tensor_free_all: { parameters: ["u32" /* count */], result: "i32" },
  stec_counters: { parameters: [], result: "i32" },
  stec_generator_new: { parameters: ["f64" /* seed */], result: "f64" },
  stec_generator_free: { parameters: ["f64" /* generator */], result: "i32" },
  stec_backward: {
    parameters: [
      "f64", /* tensor */
      "f64", /* gradient */
      "u32", /* retain_graph */
      "u32", /* create_graph */
    ],
    result: "i32",
  },
  stec_gradients: {
    parameters: ["u32", /* retain_graph */ "u32", /* create_graph */ "u32" /* allow_unused */],
    result: "i32",
  },
  stec_gradient: { parameters: ["f64" /* tensor */], result: "f64" },
  stec_set_gradient: { parameters: ["f64", /* tensor */ "f64" /* gradient */], result: "i32" },
  stec_set_requires_grad: { parameters: ["f64", /* tensor */ "u32" /* requires_grad */], result: "i32" },
  stec_set_grad_mode: { parameters: ["u32" /* enabled */], result: "i32" },
  stec_set_autocast: { parameters: ["i32", /* device_type */ "i32" /* dtype */], result: "i32" },
  stec_store_new: {
    parameters: [
      "buffer", /* host */
      "u32", /* host_length */
      "u32", /* port */
      "u32", /* is_server */
      "f64", /* timeout */
      "buffer", /* prefix */
      "u32", /* prefix_length */
    ],
    result: "f64",
  },
  stec_store_set: {
    parameters: ["f64", /* store */ "buffer", /* key */ "u32", "buffer", /* value */ "u32"],
    result: "i32",
    nonblocking: true,
  },
  stec_store_get: {
    parameters: ["f64", /* store */ "buffer", /* key */ "u32", "buffer", /* out */ "u32" /* capacity */],
    result: "i32",
    nonblocking: true,
  },
  stec_store_add: {
    parameters: ["f64", /* store */ "buffer", /* key */ "u32", "f64" /* amount */],
    result: "f64",
    nonblocking: true,
  },
  stec_store_free: { parameters: ["f64" /* store */], result: "i32" },
  stec_group_new: {
    parameters: [
      "f64", /* store */
      "u32", /* rank */
      "u32", /* size */
      "f64", /* timeout */
      "buffer", /* host */
      "u32", /* host_length */
    ],
    result: "f64",
  },
  stec_group_free: { parameters: ["f64" /* group */], result: "i32" },
  stec_group_break: { parameters: ["f64" /* group */], result: "i32" },
  stec_group_waited: { parameters: ["f64" /* group */], result: "f64" },
  stec_gather: { parameters: ["f64", /* group */ "f64" /* rows */], result: "f64" },
  stec_sum: { parameters: ["f64", /* group */ "f64" /* tensor */], result: "i32" },
  stec_broadcast: { parameters: ["f64", /* group */ "u32", /* count */ "u32" /* root */], result: "i32" },
  stec_reducer_new: { parameters: ["f64", /* group */ "u32" /* count */], result: "f64" },
  stec_reducer_prepare: { parameters: ["f64" /* reducer */], result: "i32" },
  stec_reducer_exposed: { parameters: ["f64" /* reducer */], result: "f64" },
  stec_reducer_free: { parameters: ["f64" /* reducer */], result: "i32" },
  stec_sync_batch_norm: {
    parameters: [
      "f64", /* group */
      "f64", /* input */
      "f64", /* weight */
      "f64", /* bias */
      "f64", /* running_mean */
      "f64", /* running_variance */
      "f64", /* momentum */
      "f64", /* eps */
      "f64", /* shortcut */
      "u32", /* relu */
    ],
    result: "f64",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** An operation that libtorch refused. The message names the operation and, where tensors took part, their shapes. */
export class TorchError extends Error {
  /** Tells it from other errors. */
  override readonly name = "TorchError";
}

function open(manifest: NativeManifest): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  for (const path of [...manifest.preload, manifest.shim]) {
    try {
      // Libraries that the shim needs are opened before it: the loader then finds them by name.
      const library = Deno.dlopen(path, path === manifest.shim ? SYMBOLS : {});
      if (path === manifest.shim) return (library as Deno.DynamicLibrary<typeof SYMBOLS>).symbols;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      throw new Error(
        `Cannot load ${path} (libtorch ${manifest.version} in ${manifest.libtorch}): ` +
          `${
            error instanceof Error ? error.message : error
          }. Run \`deno task setup\`, or \`deno task doctor\` to see more`,
      );
    }
  }
  throw new Error("unreachable: the shim is the last library");
}

/**
 * Lets libtorch's threads sleep while they wait for each other. They would spin, which makes a program 4 to 15 times slower
 * where other programs use the cores. OpenMP reads this once, as it is loaded.
 */
function waitPassively(): void {
  const variable = "OMP_WAIT_POLICY";
  if (Deno.env.get(variable) === undefined) Deno.env.set(variable, "passive");
}

waitPassively();

/** What was loaded, and from where. */
export const manifest: NativeManifest = readManifest();

/** The functions of the shim. */
export const native: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] = open(manifest);

if (native.stec_abi_version() !== ABI_VERSION) {
  throw new Error(
    `Cannot use ${manifest.shim}: it speaks version ${native.stec_abi_version()} of the interface, ` +
      `this program version ${ABI_VERSION}. Run \`deno task setup\``,
  );
}

const memory = new ArrayBuffer(SLOTS * 16 + PAYLOAD * 8);
check(native.stec_use_frame(new Uint8Array(memory), memory.byteLength), "give libtorch a frame");

/** The frame's slots as 32-bit words: tag and count of slot i are words 4i and 4i + 1. */
export const slotWords: Uint32Array<ArrayBuffer> = new Uint32Array(memory, 0, SLOTS * 4);
/** The frame's slots as doubles: the value of slot i is number 2i + 1. */
export const slotNumbers: Float64Array<ArrayBuffer> = new Float64Array(memory, 0, SLOTS * 2);
/** The frame's slots as 64-bit integers: the value of slot i is number 2i + 1. */
export const slotIntegers: BigInt64Array<ArrayBuffer> = new BigInt64Array(memory, 0, SLOTS * 2);
/** The frame's payload: elements of lists. */
export const payload: Float64Array<ArrayBuffer> = new Float64Array(memory, SLOTS * 16, PAYLOAD);
/** The frame's payload as bytes: text. */
export const payloadBytes: Uint8Array<ArrayBuffer> = new Uint8Array(memory, SLOTS * 16, PAYLOAD * 8);

/** Reads text from a native function that copies it out and returns its full length. */
export function readText(copy: (out: Uint8Array<ArrayBuffer>, capacity: number) => number): string {
  let out = new Uint8Array(1024);
  let length = copy(out, out.length);
  if (length > out.length) {
    out = new Uint8Array(length);
    length = copy(out, out.length);
  }
  return new TextDecoder().decode(out.subarray(0, Math.max(length, 0)));
}

/** The error that the shim has just reported for `operation`. */
export function nativeError(operation: string): TorchError {
  const message = readText((out, capacity) => native.stec_last_error(out, capacity)).trimEnd();
  return new TorchError(`${operation}: ${message}`);
}

/** Throws the shim's error if `status` says that there is one; returns it otherwise. */
export function check(status: number, operation: string): number {
  if (status < 0) throw nativeError(operation);
  return status;
}

/** libtorch as it was loaded. */
export interface LibraryDescription {
  /** For example `2.13.0`. */
  readonly version: string;
  /** The vector instructions that its CPU kernels use, for example `AVX2`. */
  readonly cpuCapability: string;
  /** Threads within one operator. */
  readonly threads: number;
  /** libtorch's own description of its build. */
  readonly configuration: string;
}

/** Describes the loaded libtorch. */
export function describeLibrary(): LibraryDescription {
  return JSON.parse(
    readText((out, capacity) => check(native.stec_describe(out, capacity), "describe the library")),
  );
}
