/**
 * A user who may do little.
 *
 * @module
 */

/** The number of the user `nobody`. */
const NOBODY = 65534;

/**
 * Calls a function of this project as a user who may not read every file, and returns the message of what it throws.
 * Root may read everything, so a process of root's becomes another user once all modules are loaded: neither Deno nor
 * the repository need be readable by that user.
 */
export function failureAsNobody(file: URL, name: string, ...args: readonly unknown[]): string {
  const script = `import { ${name} } from "${file}";
    import process from "node:process";
    if (Deno.uid() === 0) process.setuid(${NOBODY});
    try { await ${name}(...${JSON.stringify(args)}); } catch (error) { console.log(error.message); }`;
  const { stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=ts", script],
    env: { STEC_DEBUG: "0" },
  }).outputSync();
  return new TextDecoder().decode(stdout.length > 0 ? stdout : stderr).trim();
}
