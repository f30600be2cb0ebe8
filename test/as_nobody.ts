/**
 * A user who may do little.
 *
 * @module
 */

/** Runs a script that imports this project's files, with no permission but to read, and returns what it prints. */
export function runAsNobody(script: string): string {
  const cache = Deno.makeTempDirSync({ prefix: "stec-test-" });
  Deno.chmodSync(cache, 0o777);
  try {
    const { stdout, stderr } = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-config", "--ext=ts", script],
      env: { DENO_DIR: cache, STEC_DEBUG: "0" },
      // Root may read everything; any other user's own files can be made unreadable.
      ...(Deno.uid() === 0 && { uid: 65534 }),
    }).outputSync();
    return new TextDecoder().decode(stdout.length > 0 ? stdout : stderr).trim();
  } finally {
    Deno.removeSync(cache, { recursive: true });
  }
}

/** A script that calls an exported function and prints the message of what it throws. */
export function failureOf(file: URL, name: string, ...args: readonly unknown[]): string {
  const values = args.map((value) => JSON.stringify(value)).join();
  return `import { ${name} } from "${file}";
    try { await ${name}(${values}); } catch (error) { console.log(error.message); }`;
}
