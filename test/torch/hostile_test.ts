import assert from "node:assert/strict";

Deno.test("hostile: tensors without memory and wrong sizes are refused, never a crash", async () => {
  const script = new URL("hostile.ts", import.meta.url).pathname;
  const { code, signal, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script],
  }).output();
  const text = new TextDecoder(), lines = text.decode(stdout).trim().split("\n");
  const end = `ended by ${signal ?? code} in ${lines.at(-1)}: ${text.decode(stderr).slice(-1000)}`;
  assert.equal(code, 0, end);
  assert.equal(lines.at(-1), "survived");
});
