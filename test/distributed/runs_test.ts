import assert from "node:assert/strict";
import { join } from "node:path";
import { freePort } from "../../src/distributed/world.ts";
import { type MadeFolder, temporaryFolder, writeCifar } from "../made_data.ts";
import { isAlive, loggedMetrics, loggedSteps, pause, Run, trainArguments } from "./runs.ts";
import { savedStep } from "../training/saved_step.ts";

const ENDLESS = "--processes 2 --batch_size 8 --max_epochs 100000 --save_every 2 --dist_timeout 60";

/** Images for a run, and a folder for what it writes. */
function setting(): { folder: MadeFolder; data: string; results: string } {
  const folder = writeCifar({ train: 64, test: 4 });
  return { folder, data: folder.path, results: join(folder.path, "results") };
}

Deno.test("runs: two processes see the batches that one sees, and learn the same from them", async () => {
  const { folder, data, results } = setting();
  using _ = folder;
  const one = join(results, "one"), two = join(results, "two");
  // A low learning rate: in float32, what differs by rounding grows from step to step.
  const both = "--max_epochs 2 --learning_rate 1e-3";
  const runs = [
    new Run({ data, results: one, flags: `${both} --batch_size 16` }),
    new Run({ data, results: two, flags: `${both} --processes 2 --batch_size 8` }),
  ];
  for (const run of runs) assert.equal((await run.end()).code, 0);
  const expected = loggedMetrics(one), found = loggedMetrics(two);
  assert.equal(found.length, 8);
  for (const [i, metrics] of found.entries()) {
    for (const name of ["train/discrimination_loss", "train/manip_loss", "train/supervised_loss"]) {
      const difference = Math.abs(metrics[name] - expected[i][name]);
      assert.ok(difference < 1e-4, `${name} of step ${i + 1} differs by ${difference}`);
    }
    assert.ok(metrics.all_reduce_exposed_ms > 0 && metrics.peers_waited_ms > 0);
  }
});

for (const victim of [0, 1]) {
  Deno.test(`runs: when rank ${victim} is killed the other ends and says so; one process goes on from the checkpoint`, async () => {
    const { folder, data, results } = setting();
    using _ = folder;
    const run = new Run({ data, results, flags: ENDLESS });
    await run.reach(5);
    const ranks = run.ranks;
    Deno.kill(ranks[victim], "SIGKILL");
    const { code, errors } = await run.end();
    assert.equal(code, 1);
    assert.match(
      errors,
      victim === 0 ? /rank 0, which keeps the store, has ended/ : /rank 1 is gone without a word/,
    );
    assert.match(errors, new RegExp(`Process ${victim} was ended by the signal SIGKILL`));
    assert.ok(ranks.every((pid) => !isAlive(pid)));
    const saved = savedStep(results);
    assert.ok(saved >= 4);
    const again = new Run({ data, results, flags: `--batch_size 16 --max_steps ${saved + 3} --resume` });
    assert.equal((await again.end()).code, 0);
    const steps = loggedSteps(results);
    assert.deepEqual(steps, Array.from({ length: saved + 4 }, (_, step) => step));
  });
}

for (const victim of [1, 2]) {
  Deno.test(`runs: of three ranks, those that live blame rank ${victim}, which was killed, and nobody else`, async () => {
    const { folder, data, results } = setting();
    using _ = folder;
    const run = new Run({ data, results, flags: ENDLESS.replace("2", "3") });
    await run.reach(3);
    Deno.kill(run.ranks[victim], "SIGKILL");
    const { code, errors } = await run.end();
    assert.equal(code, 1);
    const blamed = errors.match(/Cannot go on: .*/g) ?? [];
    assert.equal(blamed.length, 2, errors);
    for (const sentence of blamed) {
      assert.match(sentence, new RegExp(`: rank ${victim} is gone without a word`));
    }
  });
}

Deno.test("runs: SIGTERM ends a run in which a rank hangs", async () => {
  const { folder, data, results } = setting();
  using _ = folder;
  const run = new Run({ data, results, flags: ENDLESS.replace("60", "3600") });
  await run.reach(3);
  const ranks = run.ranks;
  Deno.kill(ranks[1], "SIGSTOP");
  run.process.kill("SIGTERM");
  const { code, errors } = await run.end();
  assert.equal(code, 1);
  assert.match(errors, /rank 1 did not answer when asked to stop/);
  assert.ok(ranks.every((pid) => !isAlive(pid)));
});

Deno.test("runs: ranks that were started with different flags are refused", async () => {
  const { folder, data, results } = setting();
  using _ = folder;
  const port = `${freePort()}`;
  const flags = ["--max_steps 3 --batch_size 8", "--max_steps 4 --batch_size 8"];
  const runs = flags.map((flags, rank) =>
    new Run({
      data,
      results,
      flags,
      env: {
        RANK: `${rank}`,
        WORLD_SIZE: "2",
        LOCAL_WORLD_SIZE: "2",
        MASTER_ADDR: "localhost",
        MASTER_PORT: port,
      },
    })
  );
  for (const run of runs) {
    const { code, errors } = await run.end();
    assert.equal(code, 1);
    assert.match(errors, /Cannot train together: --max_steps is 4 on rank 1 and 3 on rank 0/);
  }
  assert.deepEqual(loggedSteps(results), [0]);
});

Deno.test("runs: a rank that hangs is given up after --dist_timeout", async () => {
  const { folder, data, results } = setting();
  using _ = folder;
  const run = new Run({ data, results, flags: `${ENDLESS} --dist_timeout 4` });
  await run.reach(3);
  const ranks = run.ranks;
  Deno.kill(ranks[1], "SIGSTOP");
  const { code, errors } = await run.end();
  assert.equal(code, 1);
  assert.match(errors, /rank 1 did not answer within 4 s \(--dist_timeout\)/);
  assert.ok(ranks.every((pid) => !isAlive(pid)));
  assert.ok(savedStep(results) >= 2);
});

Deno.test("runs: Ctrl-C saves once, and all processes end", async () => {
  const { folder, data, results } = setting();
  using _ = folder;
  const run = new Run({ data, results, flags: ENDLESS });
  await run.reach(3);
  const ranks = run.ranks;
  run.process.kill("SIGINT");
  const { code, errors } = await run.end();
  assert.equal(code, 130);
  assert.equal(errors.match(/Stopping after this step|Stopped with a checkpoint/g)?.length, 1);
  assert.equal(savedStep(results), loggedSteps(results).at(-1));
  assert.ok(ranks.every((pid) => !isAlive(pid)));
});

Deno.test("runs: processes whose launcher was killed stop with a checkpoint", async () => {
  const { folder, data, results } = setting();
  using _ = folder;
  const run = new Run({ data, results, flags: ENDLESS });
  await run.reach(3);
  const ranks = run.ranks;
  run.process.kill("SIGKILL");
  while (ranks.some(isAlive)) await pause();
  await run.end();
  assert.equal(savedStep(results), loggedSteps(results).at(-1));
});

const torchrun = Deno.env.get("STEC_TORCHRUN") ?? "torchrun";

Deno.test({
  name: `runs: started by PyTorch's torchrun${
    hasCommand(torchrun) ? "" : " (skipped: no torchrun, STEC_TORCHRUN names one)"
  }`,
  ignore: !hasCommand(torchrun),
  fn: async () => {
    const { folder, data, results } = setting();
    using _ = folder;
    const run = trainArguments({ data, results, flags: "--batch_size 8 --max_steps 5" });
    const { code, stderr } = await new Deno.Command(torchrun, {
      args: ["--no-python", "--standalone", "--nproc-per-node", "2", Deno.execPath(), ...run],
      stdout: "null",
      stderr: "piped",
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.deepEqual(loggedSteps(results), [0, 1, 2, 3, 4, 5]);
    assert.ok(loggedMetrics(results)[0].peers_waited_ms > 0);
  },
});

/** Two machines for as long as `use` runs: network namespaces with a cable between them. */
async function withTwoHosts(use: (hosts: [string[], string[]], address: string) => Promise<void>) {
  const id = Deno.pid, names = [`stec-a-${id}`, `stec-b-${id}`], ends = [`va${id}`, `vb${id}`];
  const ip = (words: string) => {
    const { success, stderr } = new Deno.Command("ip", { args: words.split(" ") }).outputSync();
    if (!success) throw new Error(`ip ${words}: ${new TextDecoder().decode(stderr)}`);
  };
  try {
    for (const name of names) ip(`netns add ${name}`);
    ip(`link add ${ends[0]} netns ${names[0]} type veth peer name ${ends[1]} netns ${names[1]}`);
    names.forEach((name, i) => {
      ip(`-n ${name} address add 10.77.0.${i + 1}/24 dev ${ends[i]}`);
      for (const link of [ends[i], "lo"]) ip(`-n ${name} link set ${link} up`);
    });
    await use([["ip", "netns", "exec", names[0]], ["ip", "netns", "exec", names[1]]], "10.77.0.1");
  } finally {
    for (const name of names) ip(`netns delete ${name}`);
  }
}

function hasCommand(command: string): boolean {
  try {
    return new Deno.Command(command, { args: ["--help"], stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch {
    return false;
  }
}

/** Whether network namespaces can be made here. */
function canSeparateHosts(): boolean {
  try {
    const name = `stec-try-${Deno.pid}`;
    const run = (what: string) =>
      new Deno.Command("ip", { args: ["netns", what, name] }).outputSync().success;
    return run("add") && run("delete");
  } catch {
    return false;
  }
}

const separate = canSeparateHosts();

Deno.test({
  name: `runs: on two hosts${separate ? "" : " (skipped: network namespaces cannot be made)"}`,
  ignore: !separate,
  fn: async () => {
    const { folder, data } = setting();
    using _ = folder, other = temporaryFolder();
    await withTwoHosts(async (hosts, address) => {
      const port = `${freePort()}`;
      const runs = hosts.map((before, rank) =>
        new Run({
          data,
          results: rank === 0 ? join(data, "results") : other.path,
          flags: "--num_nodes 2 --batch_size 8 --max_steps 5",
          env: { RANK: `${rank}`, WORLD_SIZE: "2", MASTER_ADDR: address, MASTER_PORT: port },
          before,
        })
      );
      for (const run of runs) {
        const { code, errors } = await run.end();
        assert.equal(code, 0, errors);
      }
    });
    assert.deepEqual(loggedSteps(join(data, "results")), [0, 1, 2, 3, 4, 5]);
    assert.deepEqual([...Deno.readDirSync(other.path)], [], "rank 0 alone writes");
  },
});
