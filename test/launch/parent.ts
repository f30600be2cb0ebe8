/** Launches `child.ts` with its own arguments, as the command line launches the program. */

import { messageOf } from "../../src/base/errors.ts";
import { launch } from "../../src/launch/launch.ts";

const program = {
  script: `${import.meta.dirname}/child.ts`,
  args: Deno.args,
  permissions: ["--no-prompt", "--allow-env=STEC_*"],
  environment: { STEC_TEST: "added" },
};
Deno.exit(
  await launch([program]).catch((error) => {
    Deno.stderr.writeSync(new TextEncoder().encode(messageOf(error) + "\n"));
    return 1;
  }),
);
