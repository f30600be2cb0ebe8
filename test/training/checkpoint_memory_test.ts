import assert from "node:assert/strict";
import { temporaryFolder } from "../made_data.ts";

/** Whether the kernel lets a process measure its own peak anew; asked by a shell, for Deno's tests may not touch /proc. */
const canMeasure =
  new Deno.Command("sh", { args: ["-c", "echo 5 > /proc/self/clear_refs"], stderr: "null" }).outputSync()
    .success;

Deno.test({
  name: `checkpoint memory: saving and loading take at most 1.2 times the largest tensor${
    canMeasure ? "" : " (skipped: no /proc/self/clear_refs)"
  }`,
  ignore: !canMeasure,
  async fn() {
    using folder = temporaryFolder();
    const script = new URL("checkpoint_memory.ts", import.meta.url).pathname;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", script, folder.path],
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const measured: Record<string, number> = JSON.parse(new TextDecoder().decode(stdout));
    for (const [what, times] of Object.entries(measured)) {
      assert.ok(times <= 1.2, `${what} took ${times.toFixed(2)} times the largest tensor`);
    }
    assert.equal(Object.keys(measured).length, 7);
  },
});
