/** The start-up, around scripts in the place of Deno and the program. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { exists } from "../../src/setup/environment.ts";
import { HAS_NAMESPACES, inNamespace, WITHOUT_NAMESPACES } from "./namespace.ts";
import { SmallExecutable, type StartOptions } from "./small.ts";

const UNPACKING = /^Unpacking \d+ MB into (.*), once\n$/;

async function refuses(executable: SmallExecutable, sentence: RegExp, options?: StartOptions): Promise<void> {
  const { code, out, err } = await executable.run(["train"], options);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(err, sentence);
}

Deno.test("start: it unpacks once, then runs Deno with the command's permissions", async () => {
  using executable = await SmallExecutable.make();
  const env = { LD_LIBRARY_PATH: "/none", STEC_NATIVE: "/planted", DENO_DIR: "/planted" };
  const first = await executable.run(["train", "--flag", "two words", ""], { env });
  const folder = executable.unpacked;
  assert.deepEqual(first, {
    code: 0,
    out: [
      ...["run", `--a=${folder}/x,${folder}/y`, `${folder}/cli.ts`, "train", "--flag", "two words", ""],
      `DENO_DIR=${folder}/deno_dir`,
      `STEC_NATIVE=${folder}/build/native.json`,
      "LD_LIBRARY_PATH=unset",
      ...["data", ""],
    ].join("\n"),
    err: `Unpacking 0 MB into ${folder}, once\n`,
  });
  assert.deepEqual(await executable.run(["train", "--flag", "two words", ""], { env }), {
    ...first,
    err: "",
  });
  const other = await executable.run(["seven"]);
  assert.equal(other.code, 7);
  assert.match(other.out, /^run\n--little\n.*\/cli\.ts\nseven\n/);
});

Deno.test("start: help and wrong flags are answered by the parser, and nothing is unpacked", async () => {
  using executable = await SmallExecutable.make();
  assert.deepEqual(await executable.run(["help"]), { code: 0, out: "Usage\n", err: "" });
  assert.deepEqual(await executable.run(["train", "--wrong"]), { code: 2, out: "", err: "Unknown flag\n" });
  const nowhere = { STEC_CACHE: "", XDG_CACHE_HOME: "", HOME: "" };
  assert.deepEqual((await executable.run(["help"], { env: nowhere })).code, 0);
  assert.ok(!exists(executable.cache));
  await refuses(
    executable,
    /^Cannot choose a folder to unpack into: set STEC_CACHE, XDG_CACHE_HOME or HOME\n$/,
    { env: nowhere },
  );
});

Deno.test("start: the cache is found as the program finds it", async () => {
  using executable = await SmallExecutable.make();
  for (
    const [env, folder] of [
      [{ STEC_CACHE: "", XDG_CACHE_HOME: join(executable.folder, "xdg") }, "xdg/stec"],
      [{ STEC_CACHE: "", XDG_CACHE_HOME: "", HOME: join(executable.folder, "home") }, "home/.cache/stec"],
    ] as const
  ) {
    assert.match((await executable.run(["train"], { env })).err, UNPACKING);
    assert.ok(exists(join(executable.folder, folder, "executable")));
  }
});

Deno.test("start: a truncated or damaged copy says so and leaves nothing", async () => {
  using executable = await SmallExecutable.make(100_000);
  const whole = Deno.readFileSync(executable.path);
  const start = new TextDecoder("latin1").decode(whole).indexOf("\x28\xb5\x2f\xfd", 400_000);
  for (const length of [whole.length - 1, whole.length - 40, start + 8, start]) {
    Deno.writeFileSync(executable.path, whole.subarray(0, length));
    await refuses(
      executable,
      /^Cannot start: this copy of the executable is truncated; copy it again\n$/,
    );
    assert.ok(!exists(executable.cache));
  }
  // In the last file; the parser and Deno's place are before it, the index after it.
  const damaged = whole.slice(),
    index = Number(new DataView(whole.buffer).getBigUint64(whole.length - 32, true));
  damaged[index - 6] ^= 1;
  Deno.writeFileSync(executable.path, damaged);
  await refuses(
    executable,
    /^Unpacking .*\nCannot start: this copy of the executable is damaged; copy it again\n$/,
  );
  assert.deepEqual(executable.names().filter((name) => !name.endsWith(".lock")), []);
});

Deno.test("start: of many that start at once, one unpacks and all run", async () => {
  using executable = await SmallExecutable.make(30_000_000);
  const answers = await Promise.all(Array.from({ length: 8 }, () => executable.run(["train"])));
  for (const { code, out } of answers) assert.deepEqual([code, out.endsWith("data\n")], [0, true]);
  assert.equal(answers.filter(({ err }) => err.includes("Unpacking")).length, 1);
  assert.equal(executable.names().length, 2, "the folder and the lock");
});

/** Ends an executable with a signal when it has begun to unpack; it must not have come to its end. */
async function endWhileUnpacking(
  executable: SmallExecutable,
  signal: Deno.Signal,
): Promise<Deno.CommandStatus> {
  const child = executable.command(["train"]).spawn(), reader = child.stderr.getReader();
  await reader.read();
  child.kill(signal);
  reader.releaseLock();
  const [status, out] = await Promise.all([
    child.status,
    new Response(child.stdout).text(),
    child.stderr.cancel(),
  ]);
  assert.equal(out, "", "it had not finished");
  return status;
}

Deno.test("start: what a killed one leaves is never used, and removed by the next", async () => {
  using executable = await SmallExecutable.make(500_000_000);
  assert.equal((await endWhileUnpacking(executable, "SIGKILL")).signal, "SIGKILL");
  const [key, temporary] = executable.names()[0].split(/\.(?=\d)/);
  assert.ok(temporary, "a folder that is not whole");
  assert.ok(!exists(join(executable.place, key)));
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    assert.equal((await endWhileUnpacking(executable, signal)).signal, signal);
    assert.deepEqual(executable.names(), [`${key}.lock`], "who can, tidies up");
  }
  assert.match((await executable.run(["train"])).err, UNPACKING);
  assert.deepEqual(executable.names(), [key, `${key}.lock`]);
});

Deno.test("start: a folder that has lost files, or parts of them, is unpacked again", async () => {
  using executable = await SmallExecutable.make();
  await executable.run(["train"]);
  Deno.removeSync(join(executable.unpacked, "src/data.txt"));
  assert.match((await executable.run(["train"])).err, UNPACKING);
  Deno.truncateSync(join(executable.unpacked, "cli.ts"), 3);
  assert.match((await executable.run(["train"])).err, UNPACKING);
  assert.equal((await executable.run(["train"])).err, "");
});

const OTHERS_WRITE =
  /^Cannot use .*: other users may write to it; run `chmod go-w` on it or set STEC_CACHE to another/;

for (
  const [what, path] of [
    ["the folder of unpacked executables", () => ""],
    ["an unpacked folder", (name: string) => name],
    ["the unpacked Deno", (name: string) => `${name}/deno`],
    ["a folder above the cache", () => "../.."],
  ] as const
) {
  Deno.test(`start: where others may write to ${what}, nothing is executed`, async () => {
    using executable = await SmallExecutable.make();
    await executable.run(["train"]);
    const target = join(executable.place, path(executable.names()[0]));
    const mode = Deno.statSync(target).mode! & 0o777;
    for (const bit of [0o020, 0o002]) {
      Deno.chmodSync(target, mode | bit);
      await refuses(executable, OTHERS_WRITE);
    }
    Deno.chmodSync(target, mode);
    assert.equal((await executable.run(["train"])).code, 0);
  });
}

Deno.test("start: in a folder as /tmp is, others may write and replace nothing", async () => {
  using executable = await SmallExecutable.make();
  Deno.chmodSync(executable.folder, 0o1777);
  assert.equal((await executable.run(["train"])).code, 0);
});

Deno.test("start: translated code that others may look into is not executed", async () => {
  using executable = await SmallExecutable.make();
  await executable.run(["train"]);
  assert.equal(Deno.statSync(join(executable.unpacked, "deno_dir")).mode! & 0o777, 0o700);
  Deno.chmodSync(join(executable.unpacked, "deno_dir"), 0o755);
  await refuses(executable, /^Cannot use .*deno_dir: other users may look into it; run `chmod go=` on it/);
});

Deno.test("start: a link in the place of an unpacked folder or file is not followed", async () => {
  using executable = await SmallExecutable.make();
  await executable.run(["train"]);
  const deno = join(executable.unpacked, "deno"), planted = join(executable.folder, "planted");
  Deno.renameSync(deno, planted);
  Deno.symlinkSync(planted, deno);
  assert.match((await executable.run(["train"])).err, UNPACKING);
  assert.ok(Deno.lstatSync(deno).isFile);
  const folder = executable.unpacked;
  Deno.renameSync(folder, `${planted}-folder`);
  Deno.symlinkSync(`${planted}-folder`, folder);
  await refuses(executable, /^Cannot use .*: it is not a folder; set STEC_CACHE to another folder\n$/);
});

const isRoot = Deno.uid() === 0;
Deno.test({
  name: `start: what belongs to another user is not executed${isRoot ? "" : " (skipped: needs root)"}`,
  ignore: !isRoot,
  fn: async () => {
    using executable = await SmallExecutable.make();
    await executable.run(["train"]);
    const folder = executable.unpacked,
      theirs = /^Cannot use .*: it belongs to another user; set STEC_CACHE to/;
    const paths = [
      executable.folder,
      executable.place,
      folder,
      join(folder, "deno"),
      join(folder, "src/data.txt"),
    ];
    for (const path of paths) {
      Deno.chownSync(path, 12345, 12345);
      await refuses(executable, theirs);
      assert.equal((await executable.run(["help"])).code, 0, "help still is");
      Deno.chownSync(path, 0, 0);
    }
    assert.equal((await executable.run(["train"])).code, 0);
  },
});

/** A test with a file system of its own; `script` mounts it and then runs `"$@"`. */
function mounted(name: string, fn: (executable: SmallExecutable, at: string) => Promise<void>): void {
  Deno.test({
    name: `start: ${name}${WITHOUT_NAMESPACES}`,
    ignore: !HAS_NAMESPACES,
    fn: async () => {
      using executable = await SmallExecutable.make(20_000_000);
      const at = join(executable.folder, "mount");
      Deno.mkdirSync(at);
      await fn(executable, at);
    },
  });
}

mounted("a full disk is named, and nothing is left on it", async (executable, at) => {
  const script =
    `mount -t tmpfs -o size=8m none ${at}; "$@" || status=$?; find ${at}/executable -type f; exit $status`;
  const { code, out, err } = await executable.run(["train"], {
    env: { STEC_CACHE: at },
    before: (words) => inNamespace(script, words),
  });
  assert.deepEqual([code, out.trim().split("\n").length], [1, 1], out);
  assert.match(out, /\.lock\n$/);
  assert.match(
    err,
    /^Unpacking .*\nCannot unpack into .*large: No space left on device; set STEC_CACHE to a folder with more room\n$/,
  );
});

mounted("a read-only file system is named; what is unpacked on one runs", async (executable, at) => {
  const env = { STEC_CACHE: at };
  const readOnly = (words: string[]) =>
    inNamespace(`mount --bind ${at} ${at}; mount -o remount,bind,ro ${at}; "$@"`, words);
  await refuses(
    executable,
    /^Cannot make the folder .*: Read-only file system; set STEC_CACHE to a folder that can be written\n$/,
    { env, before: readOnly },
  );
  assert.match((await executable.run(["train"], { env })).err, UNPACKING);
  const { code, err } = await executable.run(["train"], { env, before: readOnly });
  assert.deepEqual([code, err], [0, ""]);
});

mounted("a file system that permits no programs is named", async (executable, at) => {
  await refuses(
    executable,
    /^Unpacking .*\nCannot start .*\/deno: its file system permits no programs; set STEC_CACHE to another folder\n$/,
    {
      env: { STEC_CACHE: at },
      before: (words) => inNamespace(`mount -t tmpfs -o noexec none ${at}; "$@"`, words),
    },
  );
});
