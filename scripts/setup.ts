/** Gets libtorch and the native library ready: `deno task setup`. */

import { messageOf } from "../src/base/errors.ts";
import { describeSetup, setUp } from "../src/setup/setup.ts";
import { stderrProgress } from "../src/setup/progress.ts";
import { readFlags } from "./arguments.ts";

const HELP = `Usage: deno task setup [flags]

Finds or fetches libtorch and compiles the native library. Does nothing if that is done already. Every
command that needs the library runs this first.

  --quiet     Say nothing if there is nothing to do
  -h, --help  Show this help

Variables:
  LIBTORCH=<folder>          Use this libtorch
  LIBTORCH_USE_PYTORCH=1     Use an installed PyTorch; PYTHON names its interpreter
  STEC_CACHE=<folder>        Where libtorch is kept (default: ~/.cache/stec)
  STEC_CUDA=0 or 1           Set up for the CPU, or for an NVIDIA GPU (default: as the driver says)
  CXX, CUDA_HOME             The compiler, and CUDA's toolkit`;

const { quiet } = readFlags(HELP, { quiet: { type: "boolean", default: false } });
const progress = stderrProgress();
try {
  const manifest = await setUp(Deno.env, progress);
  if (!quiet) progress.say(describeSetup(manifest));
} catch (error) {
  if (Deno.env.get("STEC_DEBUG") === "1") throw error;
  progress.say(messageOf(error));
  Deno.exit(1);
}
