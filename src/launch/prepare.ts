/**
 * Set-up before a command begins: by a process of its own, so that only that one may fetch and compile.
 *
 * @module
 */

import { join } from "node:path";
import { launch } from "./launch.ts";
import { permissionsForSetup } from "./permissions.ts";
import { REPOSITORY } from "../setup/environment.ts";

/**
 * Gets libtorch and the native library ready, unless STEC_NATIVE names a library that is.
 *
 * @returns the exit status: 0 as well if nothing was to be done
 */
export async function prepareLibrary(): Promise<number> {
  if (Deno.env.get("STEC_NATIVE")) return 0;
  const script = join(REPOSITORY, "scripts", "setup.ts");
  return await launch([{ script, args: ["--quiet"], permissions: permissionsForSetup() }]);
}
