/**
 * Makes `dist/stec`, one file that runs where there is neither Deno nor libtorch: `deno task compile`.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { messageOf } from "../src/base/errors.ts";
import { REPOSITORY } from "../src/setup/environment.ts";
import { stderrProgress } from "../src/setup/progress.ts";
import { readFlags } from "./arguments.ts";

const HELP = `Usage: deno task compile [flags]

  --output <file>     where to write it (default: dist/stec)
  --cuda              pack libtorch and NVIDIA's libraries for CUDA
  --libtorch external leave libtorch out: it is then found with LIBTORCH
  --fast              compress little
  --no-deno-compile   pack Deno itself without trying deno compile first`;

const values = readFlags(HELP, {
  output: { type: "string", short: "o", default: join(REPOSITORY, "dist", "stec") },
  cuda: { type: "boolean", default: false },
  libtorch: { type: "string", default: "packed" },
  fast: { type: "boolean", default: false },
  "no-deno-compile": { type: "boolean", default: false },
});
const progress = stderrProgress();
try {
  if (!["packed", "external"].includes(values.libtorch)) {
    throw new Error(`Cannot use --libtorch ${values.libtorch}: it takes packed or external`);
  }
  const output = resolve(values.output);
  // Without --cuda the CPU's libtorch is packed, even on a machine with a GPU.
  const environment = {
    get: (name: string) => name === "STEC_CUDA" ? (values.cuda ? "1" : "0") : Deno.env.get(name),
  };
  const { makeExecutable } = await import("../src/executable/make.ts");
  const size = await makeExecutable(
    {
      output,
      fast: values.fast,
      external: values.libtorch === "external",
      denoCompile: !values["no-deno-compile"],
    },
    environment,
    progress,
  );
  progress.say(`Wrote ${output}: ${Math.round(size / 1e6)} MB`);
} catch (error) {
  if (Deno.env.get("STEC_DEBUG") === "1") throw error;
  progress.say(messageOf(error));
  Deno.exit(1);
}
