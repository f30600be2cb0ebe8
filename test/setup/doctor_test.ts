import assert from "node:assert/strict";
import { join } from "node:path";

Deno.test("doctor: says of each thing that is missing what to do, and ends with status 1", async () => {
  const script = join(import.meta.dirname!, "../../scripts/doctor.ts");
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-read", "--allow-run", "--allow-env", "--allow-ffi", script],
    clearEnv: true,
    env: { PATH: "", STEC_CACHE: "/nowhere", LIBTORCH: "/nowhere", STEC_NATIVE: "/nowhere", STEC_CUDA: "0" },
  }).output();
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
  assert.equal(code, 1);
  assert.equal(new TextDecoder().decode(stderr), "");
  assert.deepEqual(lines.map((line) => line.slice(0, 25).trimEnd()), [
    "ok       Deno",
    "missing  C++ compiler",
    "ok       cache",
    "missing  libtorch",
    "ok       GPUs",
    "missing  native library",
    "missing  CUDA library",
    "missing  loads",
  ]);
  assert.match(lines[1], /Install one/);
  assert.match(lines[3], /Cannot use LIBTORCH: there is no folder \/nowhere/);
  assert.match(lines[7], /run `deno task setup`/);
});
