import assert from "node:assert/strict";
import { gist } from "../../src/distributed/blame.ts";
import { Store } from "../../src/distributed/store.ts";
import { freePort } from "../../src/distributed/world.ts";
import { endOf, startProcesses } from "./processes.ts";

Deno.test("together: what one process failed of is said by all", async () => {
  const ends = await Promise.all(startProcesses(3, "fail").map(endOf));
  for (const [rank, { code, errors }] of ends.entries()) {
    assert.equal(code, 1);
    const own = /RangeError: Cannot read the disk: it is on fire/;
    assert.match(
      errors,
      rank === 1 ? own : /Cannot go on: rank 1 failed: Cannot read the disk: it is on fire/,
    );
  }
});

/** What each of three processes says that compare these seeds. */
async function compare(...words: string[]): Promise<string[]> {
  const ends = await Promise.all(startProcesses(3, "agree", ...words).map(endOf));
  assert.deepEqual(
    ends.map(({ code }) => code),
    words[2] === words[0] && words.length === 3 ? [0, 0, 0] : [1, 1, 1],
  );
  return ends.map(({ errors }) => errors);
}

Deno.test("together: processes that agree go on", async () => {
  await compare("1", "1", "1");
});

Deno.test("together: a rank with another flag is named by all, with the flag", async () => {
  const difference = "Cannot train together: --seed is 2 on rank 2 and 1 on rank 0";
  for (const [rank, errors] of (await compare("1", "1", "2")).entries()) {
    assert.ok(
      errors.includes(rank === 2 ? difference : `Cannot go on: rank 2 failed: ${difference}`),
      errors,
    );
  }
});

Deno.test("together: two ranks on the same GPU are refused", async () => {
  for (const errors of await compare("1", "1", "1", "0a1b")) {
    assert.match(errors, /Cannot train together: rank \d has the same GPU as another rank; start as many/);
  }
});

Deno.test("Store: on one machine it listens where only this machine reaches it", () => {
  const port = freePort(), address = { host: "127.0.0.1", port, prefix: "", timeout: 10 };
  using _store = new Store({ ...address, serves: true });
  const { stdout } = new Deno.Command("cat", { args: ["/proc/net/tcp", "/proc/net/tcp6"] }).outputSync();
  const listening = new TextDecoder().decode(stdout).split("\n").map((line) => line.trim().split(/\s+/))
    .filter(([, , , state]) => state === "0A").map(([, local]) => local.split(":"))
    .filter(([, hexadecimal]) => parseInt(hexadecimal, 16) === port);
  assert.deepEqual(listening.map(([ip]) => ip), ["0100007F"]);
  assert.throws(() => new Store({ ...address, serves: true }), new RegExp(`port ${port} .*cannot be used`));
});

Deno.test("blame: NCCL's last error stays in the report", () => {
  const nccl = "NCCL error in: NCCLUtils.cpp:1, unhandled system error, NCCL version 2.29.3\n" +
    "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error. \n" +
    "Last error:\nsocketPollConnect: connect to 10.0.0.1<4242> returned Connection refused\nmore";
  assert.equal(
    gist(nccl),
    "NCCL error in: NCCLUtils.cpp:1, unhandled system error, NCCL version 2.29.3; " +
      "last error: socketPollConnect: connect to 10.0.0.1<4242> returned Connection refused",
  );
  assert.equal(gist("Connection closed by peer\nat x"), "Connection closed by peer");
});
