/** Gets libtorch and the native library ready: `deno task setup`. */

import { messageOf } from "../src/errors.ts";
import { setUp } from "../src/setup/setup.ts";
import { stderrProgress } from "../src/setup/progress.ts";

const progress = stderrProgress();
try {
  await setUp(Deno.env, progress);
} catch (error) {
  if (Deno.env.get("STEC_DEBUG") === "1") throw error;
  progress.say(messageOf(error));
  Deno.exit(1);
}
