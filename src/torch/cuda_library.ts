/**
 * The only place that loads the library for CUDA, when it is first needed: that takes time and memory, and a CUDA build of
 * libtorch must start at once on a machine without a GPU.
 *
 * @module
 */

import { manifest } from "./library.ts";

const ABI_VERSION = 2;

/** `native/stec_cuda.h`, function by function. */
const SYMBOLS = {
  stec_cuda_abi_version: { parameters: [], result: "u32" },
  stec_cuda_devices: { parameters: [], result: "i32" },
  stec_cuda_describe: {
    parameters: ["i32", /* device */ "buffer", /* out */ "u32" /* capacity */],
    result: "i32",
  },
  stec_cuda_set_device: { parameters: ["i32" /* device */], result: "i32" },
  stec_cuda_synchronize: { parameters: ["i32" /* device */], result: "i32" },
  stec_cuda_memory: {
    parameters: ["i32", /* device */ "buffer", /* out */ "f64" /* bytes */],
    result: "i32",
  },
  stec_cuda_reset_peak: { parameters: ["i32" /* device */], result: "i32" },
  stec_cuda_empty_cache: { parameters: [], result: "i32" },
  stec_cuda_set_benchmark: { parameters: ["u32" /* enabled */], result: "i32" },
  stec_cuda_set_tf32: { parameters: ["u32" /* enabled */], result: "i32" },
  stec_cuda_join: { parameters: ["f64", /* group */ "i32" /* device */], result: "i32" },
  stec_cuda_own_stream: { parameters: ["i32" /* device */], result: "i32" },
  stec_cuda_graph_new: { parameters: [], result: "f64" },
  stec_cuda_graph_begin: { parameters: ["f64" /* graph */], result: "i32" },
  stec_cuda_graph_end: { parameters: ["f64" /* graph */], result: "i32" },
  stec_cuda_graph_replay: { parameters: ["f64" /* graph */], result: "i32" },
  stec_cuda_graph_free: { parameters: ["f64" /* graph */], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: Symbols | undefined;

/** The functions of the library for CUDA, which is loaded now if it is not yet. */
export function cuda(): Symbols {
  return opened ??= open();
}

function open(): Symbols {
  const { cudaShim, cudaMissing, libtorch } = manifest;
  if (cudaShim === null) throw new Error(`Cannot use a GPU: ${cudaMissing ?? "run `deno task setup`"}`);
  let symbols: Symbols;
  try {
    symbols = Deno.dlopen(cudaShim, SYMBOLS).symbols;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Error(
      `Cannot load ${cudaShim} (libtorch in ${libtorch}): ${
        error instanceof Error ? error.message : error
      }. ` +
        "Run `deno task setup`, or `deno task doctor` to see more",
    );
  }
  const version = symbols.stec_cuda_abi_version();
  if (version === ABI_VERSION) return symbols;
  throw new Error(
    `Cannot use ${cudaShim}: it speaks version ${version} of the interface, this program version ` +
      `${ABI_VERSION}. Run \`deno task setup\``,
  );
}
