/**
 * A browser to look at pages with, where there is one.
 *
 * @module
 */

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const FLAGS =
  "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync --hide-scrollbars";

/** Runs the browser on a page and returns what it prints; null where there is none that starts. */
export async function browse(page: string, ...flags: readonly string[]): Promise<string | null> {
  const profile = await Deno.makeTempDir({ prefix: "stec-test-" });
  try {
    for (const name of NAMES) {
      try {
        const args = [...FLAGS.split(" "), `--user-data-dir=${profile}`, ...flags, `file://${page}`];
        const { success, stdout } = await new Deno.Command(name, { args, stderr: "null" }).output();
        return success ? new TextDecoder().decode(stdout) : null;
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    return null;
  } finally {
    await Deno.remove(profile, { recursive: true });
  }
}
