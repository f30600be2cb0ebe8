/** Downloads as the tasks start them: processes with the permissions that deno.json gives. */

import assert from "node:assert/strict";
import { join } from "node:path";
import project from "../../deno.json" with { type: "json" };
import { denoCommand } from "../../src/launch/launch.ts";
import { REPOSITORY } from "../../src/setup/environment.ts";
import { temporaryFolder, writeCifar } from "../made_data.ts";
import { archiveOfFolder, serveArchive } from "../served_archive.ts";

const SMALL = "--dataset cifar10 --arch resnet18 --width 4 --batch_size 8 --max_steps 1 --gpus 0".split(" ");

/** The words of `deno task train` but for its set-up, from a data folder to a results folder beside it. */
function words(folder: string, flags: readonly string[]): string[] {
  const paths = ["--data_dir", join(folder, "data"), "--results_path", join(folder, "results")];
  return [denoCommand(), ...project.tasks.train.command.split(" ").slice(1), ...SMALL, ...paths, ...flags];
}

function command([program, ...args]: readonly string[], address: string, stdin: "null" | "piped" = "null") {
  const env = { STEC_DEBUG: "0", STEC_ARCHIVE: address };
  return new Deno.Command(program, { args, cwd: REPOSITORY, env, stdin, stdout: "piped", stderr: "piped" });
}

async function run(words: readonly string[], address: string) {
  const { code, stdout, stderr } = await command(words, address).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

async function madeArchive(): Promise<Uint8Array<ArrayBuffer>> {
  using made = writeCifar({ train: 40, test: 10 });
  return await archiveOfFolder(made.path, "cifar-10-batches-bin");
}

Deno.test("fetch dataset: train --download fetches the data over a bad line, and trains", async () => {
  const archive = await madeArchive();
  await using server = serveArchive(archive, (request) => request === 0 ? "cut" : "whole");
  using folder = temporaryFolder();
  const { code, out, err } = await run(words(folder.path, ["--download"]), server.address);
  assert.equal(code, 0, err);
  assert.match(out, /^test accuracy +[01]\.\d{4} {2}\(10 images\)$/m);
  assert.match(err, /^Downloading CIFAR-10 from http:\S+\/set\.tar\.gz to \S+\/data$/m);
  assert.match(err, /^Downloading CIFAR-10, 1 MB: 100%$/m);
  assert.match(err, /^CIFAR-10 is in \S+\/data\/cifar-10-batches-bin$/m);
  assert.deepEqual(server.asked, [0, archive.length >> 1]);
  assert.deepEqual(namesIn(join(folder.path, "data")), ["cifar-10-batches-bin"]);
  assert(namesIn(join(folder.path, "results")).includes("last.ckpt"));
});

Deno.test("fetch dataset: Ctrl-C ends a download, and the next goes on where it was", async () => {
  const archive = await madeArchive(), half = archive.length >> 1;
  let transfer: "stall" | "whole" = "stall";
  await using server = serveArchive(archive, () => transfer);
  using folder = temporaryFolder();
  const part = join(folder.path, "data", "set.tar.gz.part"), args = words(folder.path, ["--download"]);
  const process = command(args, server.address).spawn();
  const output = process.output();
  while (!exists(part) || Deno.statSync(part).size < half) await new Promise((done) => setTimeout(done, 20));
  process.kill("SIGINT");
  const { code, stderr } = await output;
  assert.equal(code, 130);
  assert.match(new TextDecoder().decode(stderr), /\nStopped; a download goes on next time where it was\n$/);
  transfer = "whole";
  const again = await run(args, server.address);
  assert.equal(again.code, 0, again.err);
  assert.deepEqual(server.asked, [0, half]);
});

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

Deno.test("fetch dataset: without the flag and without a terminal nothing is fetched, and it says how", async () => {
  await using server = serveArchive(new Uint8Array(10));
  using folder = temporaryFolder();
  const { code, out, err } = await run(words(folder.path, []), server.address);
  assert.deepEqual([code, out, server.asked], [1, "", []]);
  assert.match(err, /^Cannot find CIFAR-10: looked for .*; --download fetches them\n$/);
});

Deno.test("fetch dataset: a wrong file ends the command in one sentence, before anything is trained", async () => {
  await using server = serveArchive(new Uint8Array(10));
  using folder = temporaryFolder();
  const address = server.address.replace(/sha256=.*/, `sha256=${"0".repeat(64)}`);
  const { code, err } = await run(words(folder.path, ["--download"]), address);
  assert.equal(code, 1);
  assert.match(
    err,
    /\nCannot download http:\S+: the 10 bytes that came have the SHA-256 \w+, it should be 0+\n$/,
  );
  assert.deepEqual(namesIn(folder.path), ["data"]);
});

Deno.test("fetch dataset: a server that passes on to another host is not followed", async () => {
  await using server = serveArchive(new Uint8Array(10), () => "elsewhere");
  using folder = temporaryFolder();
  const { code, err } = await run(words(folder.path, ["--download"]), server.address);
  assert.deepEqual([code, server.asked], [1, [0]]);
  assert.match(
    err,
    /\nCannot download http:\S+: the server passes on to elsewhere\.test:80; if you trust that, name/,
  );
});

/** Runs a program on a terminal of its own, on which an answer is typed. */
async function runOnTerminal(words: readonly string[], address: string, answer: string) {
  const line = words.map((word) => `'${word}'`).join(" ");
  const process = command(["script", "-qec", line, "/dev/null"], address, "piped").spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(answer));
  const { code, stdout } = await process.output();
  writer.releaseLock();
  return { code, out: new TextDecoder().decode(stdout) };
}

const hasScript = exists("/usr/bin/script");

for (const [answer, does] of [["y", true], ["", false]] as const) {
  Deno.test({
    name: `fetch dataset: on a terminal it asks, and "${answer}" is ${does ? "yes" : "no"}` +
      (hasScript ? "" : " (skipped: no script)"),
    ignore: !hasScript,
    async fn() {
      await using server = serveArchive(await madeArchive());
      using folder = temporaryFolder();
      const { code, out } = await runOnTerminal(words(folder.path, []), server.address, `${answer}\n`);
      assert.match(out, /CIFAR-10 is not in \S+\/data\. Download it \(170 MB\) from http:\S+\? \[y\/N\] /);
      assert.deepEqual([code, server.asked], does ? [0, [0]] : [1, []], out);
      if (!does) assert.match(out, /Cannot find CIFAR-10: .*; --download fetches them/);
    },
  });
}
