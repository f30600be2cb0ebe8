/**
 * Other runs of Deno.
 *
 * @module
 */

import { denoCommand } from "../src/launch/launch.ts";
import { REPOSITORY } from "../src/setup/environment.ts";

/** Runs `deno` in the repository, on this process's terminal. Ends this process with its exit status if that is not 0. */
export async function deno(...args: string[]): Promise<void> {
  const { code } = await new Deno.Command(denoCommand(), {
    args,
    cwd: REPOSITORY,
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn().status;
  if (code !== 0) Deno.exit(code);
}
