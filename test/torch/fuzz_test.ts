import assert from "node:assert/strict";

const SEED = 1, CALLS = 150;

/** The operators that the sources name. */
function operatorsInUse(): string[] {
  const folder = new URL("../../src/torch/", import.meta.url), names = new Set<string>();
  for (const { name } of Deno.readDirSync(folder)) {
    const text = Deno.readTextFileSync(new URL(name, folder));
    for (const [, operator] of text.matchAll(/"(aten::[\w.]+)"/g)) names.add(operator);
  }
  return [...names].sort();
}

Deno.test("fuzz: frames of nonsense are answered with errors, never with a crash or a leak", async () => {
  const script = new URL("fuzz_frame.ts", import.meta.url).pathname, operators = operatorsInUse();
  assert.ok(operators.length > 80);
  const { code, signal, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script, String(SEED), String(CALLS), ...operators],
  }).output();
  const text = new TextDecoder(), lines = text.decode(stdout).trim().split("\n");
  const end = `ended by ${signal ?? code} in ${lines.at(-1)}: ${text.decode(stderr).slice(-500)}`;
  assert.equal(code, 0, end);
  assert.equal(lines.at(-1), "survived");
});
