import assert from "node:assert/strict";

const MB = 2 ** 20;

Deno.test("memory: freed blocks serve the next tensors of their sizes, and others do not pile up", async () => {
  const script = new URL("./kept_memory.ts", import.meta.url).pathname;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script],
    stderr: "inherit",
  }).output();
  const { refused, held, mapped } = JSON.parse(new TextDecoder().decode(stdout));
  assert.ok(refused, "a tensor of a pebibyte was made");
  // At most twice the largest may be kept.
  assert.ok(held < 3 * 128 * MB, `${Math.round(held / MB)} MB are still held`);
  assert.ok(mapped < 256 * MB, `${Math.round(mapped / MB)} MB were mapped anew`);
});
