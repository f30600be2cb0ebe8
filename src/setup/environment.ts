/**
 * What the set-up knows about the machine it runs on: variables, folders, other programs.
 *
 * @module
 */

import { join } from "node:path";

/** Where environment variables are looked up; `Deno.env` is one. */
export interface Environment {
  /** The value of a variable, `undefined` where it is not set. */
  get(name: string): string | undefined;
}

/** The folder that holds `native/` and `build/`. */
export const REPOSITORY: string = join(import.meta.dirname ?? ".", "..", "..");

/** Whether a switch such as `LIBTORCH_USE_PYTORCH` is on: set, and to something else than 0. */
export function isOn(value: string | undefined): boolean {
  return value !== undefined && value !== "" && value !== "0";
}

/** The folder for what set-ups share: `$STEC_CACHE`, else `$XDG_CACHE_HOME/stec`, else `~/.cache/stec`. */
export function cacheFolder(environment: Environment): string {
  const own = environment.get("STEC_CACHE");
  if (own) return own;
  const shared = environment.get("XDG_CACHE_HOME");
  if (shared) return join(shared, "stec");
  const home = environment.get("HOME");
  if (home) return join(home, ".cache", "stec");
  throw new Error("Cannot choose a folder for the cache: set STEC_CACHE, XDG_CACHE_HOME or HOME");
}

/** Whether there is a file or folder at `path`. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}

/** The names in a folder, sorted; none where there is no such folder. */
export function namesIn(folder: string): string[] {
  return exists(folder) ? [...Deno.readDirSync(folder)].map((entry) => entry.name).sort() : [];
}

/**
 * Where the library of NVIDIA's driver may be. Deno lets nobody without all permissions look into /dev and /proc, so the
 * driver is known by its library.
 */
export const DRIVERS: readonly string[] = [
  "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
  "/usr/lib/aarch64-linux-gnu/libcuda.so.1",
  "/usr/lib64/libcuda.so.1",
  "/usr/lib/wsl/lib/libcuda.so.1",
  "/usr/local/nvidia/lib64/libcuda.so.1",
  "/run/opengl-driver/lib/libcuda.so.1",
];

/** Whether to set up for an NVIDIA GPU: where a driver is found, unless STEC_CUDA (0 or 1) says otherwise. */
export function wantsCuda(environment: Environment): boolean {
  const forced = environment.get("STEC_CUDA");
  return forced ? isOn(forced) : DRIVERS.some(exists);
}

/** What a program answered. */
export interface Answer {
  /** The exit status. */
  readonly code: number;
  /** Standard output. */
  readonly out: string;
  /** Standard error. */
  readonly err: string;
}

/**
 * Runs a program and returns its answer, `null` where there is no such program. With `show` its standard output
 * goes to the terminal instead.
 */
export async function run(program: string, args: string[], show = false): Promise<Answer | null> {
  try {
    const command = new Deno.Command(program, { args, stdin: "null", stdout: show ? "inherit" : "piped" });
    const { code, stderr, ...result } = await command.output();
    const text = new TextDecoder();
    return { code, out: show ? "" : text.decode(result.stdout), err: text.decode(stderr) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return null;
    throw error;
  }
}
