/** A program to launch: what it does is its first argument. */

import { isLaunched } from "../../src/launch/launch.ts";

const [mode, argument] = Deno.args;

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));
}

/** Says which signals come; `onSignal` is called at each. */
function listen(onSignal: () => void): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      say(`got ${signal}`);
      onSignal();
    });
  }
  setInterval(() => {}, 1000);
  say("ready");
}

switch (mode) {
  case "exit":
    say(
      `launched ${isLaunched()}, ${Deno.env.get("STEC_TEST")}, run ${
        Deno.permissions.querySync({ name: "run" }).state
      }`,
    );
    Deno.exit(Number(argument));
    break;
  case "die":
    Deno.kill(Deno.pid, argument as Deno.Signal);
    await new Promise(() => setInterval(() => {}, 1000));
    break;
  case "save":
    // Ends some time after the first signal, as a training that saves a checkpoint.
    listen(() => setTimeout(() => Deno.exit(130), 100));
    break;
  case "deaf":
    listen(() => {});
    break;
}
