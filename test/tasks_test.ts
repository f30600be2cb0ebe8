/** The tasks as deno.json has them. */

import assert from "node:assert/strict";
import { join } from "node:path";
import project from "../deno.json" with { type: "json" };
import { denoCommand } from "../src/launch/launch.ts";
import { namesIn, REPOSITORY } from "../src/setup/environment.ts";

type Task = keyof typeof project.tasks;

async function run(task: Task, args: readonly string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(denoCommand(), {
    args: ["task", "--quiet", task, ...args],
    cwd: REPOSITORY,
    env: { STEC_DEBUG: "0", ...env },
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** Makes every set-up fail. */
const NO_LIBTORCH = { LIBTORCH: "/nowhere", STEC_CACHE: "/nowhere", STEC_NATIVE: "" };

for (const task of Object.keys(project.tasks) as Task[]) {
  Deno.test(`tasks: ${task} --help needs no set-up`, async () => {
    assert.deepEqual(Object.keys(project.tasks[task]), ["description", "command"], "nothing runs before it");
    const { code, out, err } = await run(task, ["--help"], NO_LIBTORCH);
    assert.deepEqual([code, err], [0, ""]);
    assert.match(out, new RegExp(`^Usage: deno task ${task}\\b`));
  });
}

for (const task of ["setup", "doctor", "check", "compile"] as const) {
  Deno.test(`tasks: ${task} refuses what it does not know in one sentence`, async () => {
    const { code, out, err } = await run(task, ["--quux"]);
    assert.deepEqual({ code, out, err }, {
      code: 2,
      out: "",
      err: "Unknown option '--quux': --help lists the flags\n",
    });
  });
}

Deno.test("tasks: a finished setup says so in one line, nothing with --quiet", async () => {
  await run("setup", []);
  const { code, out, err } = await run("setup", []);
  assert.deepEqual([code, out], [0, ""]);
  assert.match(err, /^Ready: libtorch \d+\.\d+\.\d+ \((cpu|cuda)\) from .*\n$/);
  assert.deepEqual(await run("setup", ["--quiet"]), { code: 0, out: "", err: "" });
});

Deno.test("tasks: train reads its flags, then sets up, and fails as the set-up does", async () => {
  const flags = await run("train", ["--quux"], NO_LIBTORCH);
  assert.deepEqual([flags.code, flags.err], [2, "Unknown flag --quux: --help lists them\n"]);
  const setup = await run("train", [], NO_LIBTORCH);
  assert.deepEqual(setup, { code: 1, out: "", err: "Cannot use LIBTORCH: there is no folder /nowhere\n" });
});

Deno.test("tasks: no script has a name that deno test takes for a test's", () => {
  // It would run the tests from within the tests.
  const names = namesIn(join(REPOSITORY, "scripts")).filter((name) => /(^|[._])test\.ts$/.test(name));
  assert.deepEqual(names, []);
});
