/**
 * Which processes train together, from the variables by which torchrun, Slurm and this program's own launcher tell it.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import type { Environment } from "../setup/environment.ts";

/** A process's place among those that train together. */
export interface World {
  /** This process, from 0. */
  readonly rank: number;
  /** All processes. */
  readonly size: number;
  /** This process among those of its machine, from 0. */
  readonly localRank: number;
  /** The processes of its machine. */
  readonly localSize: number;
  /** Where the processes find each other. */
  readonly host: string;
  readonly port: number;
  /** Whether somebody else, not process 0, keeps the store there. */
  readonly served: boolean;
  /** The launcher and its number of the run, which sets the run's entries apart from others in the same store. */
  readonly run: string;
  /** How often the processes were started before. */
  readonly attempt: number;
}

/** The settings that a world must agree with. */
export interface WorldSettings {
  readonly gpus: number | "auto";
  readonly processes: number;
  readonly num_nodes: number;
}

/** The variable in which a launched process finds its place. */
export const WORLD_VARIABLE = "STEC_WORLD";

/** Where a world comes from, in words, and the names of its variables. */
interface Source {
  readonly name: string;
  readonly rank: string;
  readonly size: string;
  readonly localRank: string;
  readonly localSize: string;
}

const TORCHRUN: Source = {
  name: "torchrun",
  rank: "RANK",
  size: "WORLD_SIZE",
  localRank: "LOCAL_RANK",
  localSize: "LOCAL_WORLD_SIZE",
};

/** What srun sets: `SLURM_NTASKS` is there in a batch script, too, which is no process among others. */
const SLURM: Source = {
  name: "Slurm",
  rank: "SLURM_PROCID",
  size: "SLURM_STEP_NUM_TASKS",
  localRank: "SLURM_LOCALID",
  localSize: "SLURM_NTASKS_PER_NODE",
};

/**
 * The world that torchrun, or else Slurm, has started this process in; null where it is alone.
 *
 * @throws {UsageError} if the variables contradict each other or the settings, in one sentence
 */
export function worldFrom(environment: Environment, settings: WorldSettings): World | null {
  const source = [TORCHRUN, SLURM].find(({ rank, size }) => environment.get(rank) && environment.get(size));
  const world = source === undefined ? null : readWorld(environment, source);
  if (world === null) {
    if (settings.num_nodes > 1) {
      throw new UsageError(
        `Cannot train on --num_nodes ${settings.num_nodes} without a launcher on each of them: ` +
          "start the program with torchrun, srun or as a PyTorchJob (docs/distributed.md)",
      );
    }
    return null;
  }
  checkAgreement(environment, source!, world, settings);
  return world;
}

function readWorld(environment: Environment, source: Source): World | null {
  const rank = whole(environment, source.rank), size = whole(environment, source.size);
  if (size === 1) return null;
  if (rank >= size) {
    throw new UsageError(`Cannot be process ${rank} of ${size}: check ${source.rank} and ${source.size}`);
  }
  const localSize = whole(environment, source.localSize, 1);
  const served = environment.get("TORCHELASTIC_USE_AGENT_STORE") === "True";
  const [host, port] = source === SLURM ? slurmAddress(environment) : address(environment);
  const oneMachine = source === SLURM ? environment.get("SLURM_STEP_NUM_NODES") === "1" : localSize === size;
  return {
    rank,
    size,
    localRank: whole(environment, source.localRank, 0),
    localSize,
    host: oneMachine && !served ? LOOPBACK : host,
    port,
    served,
    run: source === SLURM
      ? slurmRun(environment)
      : `${source.name} ${environment.get("TORCHELASTIC_RUN_ID") ?? ""}`,
    attempt: whole(environment, "TORCHELASTIC_RESTART_COUNT", 0),
  };
}

function whole(environment: Environment, name: string, fallback?: number): number {
  const text = environment.get(name);
  if (!text && fallback !== undefined) return fallback;
  if (!text || !/^\d+$/.test(text)) {
    throw new UsageError(`Cannot read ${name}: it is ${JSON.stringify(text ?? "")}, wanted a whole number`);
  }
  return Number(text);
}

function address(environment: Environment): [host: string, port: number] {
  const host = environment.get("MASTER_ADDR");
  if (!host) {
    throw new UsageError(
      "Cannot find the other processes: RANK is set and MASTER_ADDR is not; it names the machine of rank 0",
    );
  }
  return [host, portFrom(environment)];
}

function portFrom(environment: Environment): number {
  const port = whole(environment, "MASTER_PORT");
  if (port < 1 || port > 65535) throw new UsageError(`Cannot use MASTER_PORT ${port}: ports go up to 65535`);
  return port;
}

/** What only processes of the same machine reach. */
const LOOPBACK = "127.0.0.1";

/** Ports that Slurm's jobs choose from by their number, below those that systems hand out on their own. */
const SLURM_PORTS = { first: 20_000, count: 10_000 } as const;

function slurmAddress(environment: Environment): [host: string, port: number] {
  const nodes = environment.get("SLURM_STEP_NODELIST") || environment.get("SLURM_NODELIST") || "";
  const host = environment.get("MASTER_ADDR") || firstNode(nodes);
  if (!host) {
    throw new UsageError(
      "Cannot find the other processes: neither SLURM_STEP_NODELIST nor MASTER_ADDR is set; start it with srun",
    );
  }
  const port = environment.get("MASTER_PORT")
    ? portFrom(environment)
    : slurmPort(whole(environment, "SLURM_JOB_ID", 0), whole(environment, "SLURM_STEP_ID", 0));
  return [host, port];
}

/** A port for a step of a job. Neighboring jobs and the steps of one job, which may share a machine, differ. */
function slurmPort(job: number, step: number): number {
  const stride = 97;
  return SLURM_PORTS.first + (job + stride * step) % SLURM_PORTS.count;
}

function slurmRun(environment: Environment): string {
  const job = environment.get("SLURM_JOB_ID") ?? "", step = environment.get("SLURM_STEP_ID") ?? "";
  return `${SLURM.name} ${job}.${step}`;
}

/** The first machine of a list such as `gpu[003-007,9],other`. */
export function firstNode(list: string): string {
  const [, before, numbers = "", after = ""] = /^([^[,]*)(?:\[(\d+)[^\]]*\]([^,]*))?/.exec(list)!;
  return before + numbers + after;
}

/** Flags that say how many processes there are may stay, where they agree with the launcher. */
function checkAgreement(
  environment: Environment,
  source: Source,
  { size, localSize }: World,
  { gpus, processes, num_nodes }: WorldSettings,
): void {
  const refuse = (flag: string, started: string) => {
    throw new UsageError(`Cannot use ${flag} here: ${source.name} has started ${started}`);
  };
  if (environment.get(source.localSize)) {
    const started = `${localSize} on this machine (${source.localSize})`;
    if (gpus !== "auto" && gpus > 0 && gpus !== localSize) refuse(`--gpus ${gpus}`, started);
    if (processes > 1 && processes !== localSize) refuse(`--processes ${processes}`, started);
  }
  if (num_nodes > 1 && size % num_nodes !== 0) {
    refuse(`--num_nodes ${num_nodes}`, `${size} processes (${source.size})`);
  }
}

/** A port of this machine that is free at the moment. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
  return listener.addr.port;
}

/** The places of processes that all run on this machine. */
export function localWorlds(size: number, port: number): World[] {
  const run = `deno task ${crypto.randomUUID()}`;
  return Array.from({ length: size }, (_, rank) => ({
    rank,
    size,
    localRank: rank,
    localSize: size,
    host: LOOPBACK,
    port,
    served: false,
    run,
    attempt: 0,
  }));
}

/**
 * The places of the processes that this one has to start: its own where a launcher has started it, else those of all
 * that the settings want on this machine; one null for a process that is alone.
 *
 * @param findPort finds a free port of this machine
 * @throws {UsageError} as {@linkcode worldFrom}
 */
export function worldsToStart(
  environment: Environment,
  settings: WorldSettings,
  findPort: () => number,
): (World | null)[] {
  const given = worldFrom(environment, settings);
  if (given !== null) return [given];
  const { gpus, processes } = settings, size = gpus === "auto" ? processes : Math.max(gpus, processes);
  return size === 1 ? [null] : localWorlds(size, findPort());
}

/** The place of this process, as its launcher has written it; null where it is alone. */
export function launchedWorld(environment: Environment): World | null {
  const text = environment.get(WORLD_VARIABLE);
  return text ? JSON.parse(text) : null;
}
