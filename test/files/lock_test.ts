import assert from "node:assert/strict";
import { FolderLock } from "../../src/files/lock.ts";
import { inFolder } from "../checkpoint/files.ts";

/** A process that takes a folder's lock, says so, and keeps it until it is killed. */
function holder(folder: string): Deno.ChildProcess {
  const module = new URL("../../src/files/lock.ts", import.meta.url);
  const script = `import { FolderLock } from "${module}";
    globalThis.held = new FolderLock(${JSON.stringify(folder)});
    Deno.stdout.writeSync(new TextEncoder().encode("held"));
    setInterval(() => {}, 1000);`;
  return new Deno.Command(Deno.execPath(), { args: ["eval", script], stdout: "piped", stderr: "inherit" })
    .spawn();
}

Deno.test("lock: a second process is refused by name, and a killed one has released it", async () => {
  const folder = Deno.makeTempDirSync();
  await using process = holder(folder);
  const reader = process.stdout.getReader();
  assert.equal(new TextDecoder().decode((await reader.read()).value), "held");
  assert.throws(() => new FolderLock(folder), {
    message: new RegExp(
      `^Cannot write results to ${folder}: process ${process.pid}, started at .* is writing there`,
    ),
  });
  process.kill("SIGKILL");
  await process.status;
  await reader.cancel();
  using again = new FolderLock(folder);
  again.check();
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("lock: a folder that was removed or replaced is noticed", () => {
  inFolder((parent) => {
    const folder = `${parent}/results`;
    using lock = new FolderLock(folder);
    lock.check();
    Deno.renameSync(folder, `${parent}/elsewhere`);
    assert.throws(() => lock.check(), /results: the folder was removed or replaced during the run/);
    Deno.mkdirSync(folder);
    Deno.writeTextFileSync(`${folder}/.lock`, "");
    assert.throws(() => lock.check(), /removed or replaced/);
  });
});

Deno.test("lock: a folder that cannot be made is one sentence", () => {
  inFolder((parent) => {
    Deno.writeTextFileSync(`${parent}/file`, "");
    assert.throws(
      () => new FolderLock(`${parent}/file/results`),
      /^Error: Cannot write results to .*file\/results: /,
    );
  });
});
