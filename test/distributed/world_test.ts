import assert from "node:assert/strict";
import fc from "fast-check";
import {
  firstNode,
  type World,
  worldFrom,
  type WorldSettings,
  worldsToStart,
} from "../../src/distributed/world.ts";
import { UsageError } from "../../src/base/errors.ts";

const NOTHING: WorldSettings = { gpus: "auto", processes: 1, num_nodes: 1 };
const TORCHRUN = {
  RANK: "5",
  WORLD_SIZE: "8",
  LOCAL_RANK: "1",
  LOCAL_WORLD_SIZE: "4",
  MASTER_ADDR: "first",
  MASTER_PORT: "29500",
  TORCHELASTIC_RUN_ID: "77",
};
const SLURM = {
  SLURM_PROCID: "3",
  SLURM_STEP_NUM_TASKS: "4",
  SLURM_LOCALID: "1",
  SLURM_NTASKS_PER_NODE: "2",
  SLURM_STEP_NODELIST: "gpu[003-004]",
  SLURM_JOB_ID: "123456",
  SLURM_STEP_ID: "0",
};

function environment(variables: Record<string, string | undefined>) {
  return { get: (name: string) => variables[name] };
}

function world(
  variables: Record<string, string | undefined>,
  settings: Partial<WorldSettings> = {},
): World | null {
  return worldFrom(environment(variables), { ...NOTHING, ...settings });
}

/** The sentence with which a world is refused. */
function refusal(
  variables: Record<string, string | undefined>,
  settings: Partial<WorldSettings> = {},
): string {
  try {
    world(variables, settings);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.message;
  }
  throw new Error("It was accepted");
}

Deno.test("world: torchrun's variables say everything", () => {
  const expected = {
    rank: 5,
    size: 8,
    localRank: 1,
    localSize: 4,
    host: "first",
    port: 29500,
    served: false,
    run: "torchrun 77",
    attempt: 0,
  };
  assert.deepEqual(world(TORCHRUN), expected);
  assert.deepEqual(world(TORCHRUN, { gpus: 4, num_nodes: 2 }), expected);
  assert.deepEqual(world(TORCHRUN, { gpus: 0 }), expected);
  const agent = { TORCHELASTIC_USE_AGENT_STORE: "True", TORCHELASTIC_RESTART_COUNT: "2" };
  assert.deepEqual(world({ ...TORCHRUN, ...agent }), { ...expected, served: true, attempt: 2 });
});

Deno.test("world: Slurm's variables lead to the step's first machine and a port of the job's step", () => {
  const expected = { rank: 3, size: 4, localRank: 1, localSize: 2, host: "gpu003", port: 23456 };
  assert.deepEqual(world(SLURM), { ...expected, served: false, run: "Slurm 123456.0", attempt: 0 });
  const second = world({ ...SLURM, SLURM_STEP_ID: "1" });
  assert.deepEqual([second?.port, second?.run], [23553, "Slurm 123456.1"]);
  assert.equal(world({ ...SLURM, MASTER_ADDR: "other", MASTER_PORT: "1234" })?.host, "other");
  assert.equal(world({ ...SLURM, MASTER_PORT: "1234" })?.port, 1234);
});

Deno.test("world: processes of one machine use its loopback network, unless torchrun keeps the store", () => {
  const torchrun = { ...TORCHRUN, LOCAL_WORLD_SIZE: "8" };
  assert.equal(world(torchrun)?.host, "127.0.0.1");
  assert.equal(world({ ...torchrun, TORCHELASTIC_USE_AGENT_STORE: "True" })?.host, "first");
  assert.equal(world({ ...SLURM, SLURM_STEP_NUM_NODES: "1" })?.host, "127.0.0.1");
  assert.equal(world({ ...SLURM, SLURM_STEP_NUM_NODES: "2" })?.host, "gpu003");
});

Deno.test("world: one process is alone, in a batch script, too", () => {
  assert.equal(world({}), null);
  assert.equal(world({ ...TORCHRUN, RANK: "0", WORLD_SIZE: "1" }), null);
  assert.equal(world({ SLURM_PROCID: "0", SLURM_NTASKS: "8", SLURM_JOB_ID: "1" }), null);
});

Deno.test("world: what does not fit together is refused in one sentence", () => {
  assert.match(refusal({ ...TORCHRUN, RANK: "8" }), /^Cannot be process 8 of 8: check RANK and WORLD_SIZE$/);
  assert.match(refusal({ ...TORCHRUN, RANK: "-1" }), /^Cannot read RANK: it is "-1", wanted a whole number$/);
  assert.match(refusal({ ...TORCHRUN, MASTER_ADDR: undefined }), /MASTER_ADDR is not/);
  assert.match(refusal({ ...TORCHRUN, MASTER_PORT: "70000" }), /^Cannot use MASTER_PORT 70000/);
  assert.match(refusal({ ...SLURM, SLURM_STEP_NODELIST: undefined }), /start it with srun$/);
  assert.match(
    refusal(TORCHRUN, { gpus: 8 }),
    /^Cannot use --gpus 8 here: torchrun has started 4 on this machine \(LOCAL_WORLD_SIZE\)$/,
  );
  assert.match(refusal(TORCHRUN, { processes: 2 }), /--processes 2/);
  assert.match(refusal(TORCHRUN, { num_nodes: 3 }), /--num_nodes 3 here: torchrun has started 8 processes/);
  assert.match(refusal({}, { num_nodes: 2 }), /without a launcher/);
});

Deno.test("world: without a launcher there is a process for each GPU or as many as asked for", () => {
  const start = (settings: Partial<WorldSettings>, variables = {}) =>
    worldsToStart(environment(variables), { ...NOTHING, ...settings }, () => 4321);
  assert.deepEqual(start({}), [null]);
  assert.deepEqual(start({ gpus: 1 }), [null]);
  assert.deepEqual(start({ gpus: 0, processes: 3 }).map((place) => place?.rank), [0, 1, 2]);
  const places = start({ gpus: 2 });
  assert.deepEqual(places.map((place) => [place?.localRank, place?.size, place?.port]), [[0, 2, 4321], [
    1,
    2,
    4321,
  ]]);
  assert.deepEqual(start({ gpus: 4 }, TORCHRUN).map((place) => place?.rank), [5]);
});

Deno.test("world: the first machine of a list of machines", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/), digits = fc.stringMatching(/^[0-9]{1,4}$/);
  fc.assert(fc.property(name, digits, digits, name, (base, first, last, other) => {
    assert.equal(firstNode(`${base},${other}`), base);
    assert.equal(firstNode(`${base}[${first}-${last}],${other}`), base + first);
    assert.equal(firstNode(`${base}[${first},${last}].local,${other}`), `${base}${first}.local`);
  }));
});
