/**
 * Commands in a mount namespace of their own, where file systems can be mounted without touching this machine's.
 *
 * @module
 */

/** Words before a shell command that run it there. */
const UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"];

function canUnshare(): boolean {
  try {
    const [command, ...args] = [...UNSHARE, "mount -t tmpfs none /mnt"];
    return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Whether this machine permits it. */
export const HAS_NAMESPACES: boolean = canUnshare();

/** What to add to the name of a test that needs it. */
export const WITHOUT_NAMESPACES: string = HAS_NAMESPACES ? "" : " (skipped: no namespaces here)";

/** The words that run a shell command there, with these as its `$@`. */
export function inNamespace(script: string, words: readonly string[]): string[] {
  return [...UNSHARE, script, "sh", ...words];
}
