/**
 * Real processes for tests: each runs one of `worker.ts`'s jobs and prints what it has found as JSON.
 *
 * @module
 */

import { freePort, localWorlds, WORLD_VARIABLE } from "../../src/distributed/world.ts";
import { denoCommand } from "../../src/launch/launch.ts";

/** A process as it ended. */
export interface End {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

/** Starts a job in several processes that train together. */
export function startProcesses(size: number, job: string, ...args: string[]): Deno.ChildProcess[] {
  return localWorlds(size, freePort()).map((world) =>
    new Deno.Command(denoCommand(), {
      args: ["run", "-A", `${import.meta.dirname}/worker.ts`, job, ...args],
      env: { [WORLD_VARIABLE]: JSON.stringify(world), OMP_NUM_THREADS: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn()
  );
}

/** Waits for a process. */
export async function endOf(process: Deno.ChildProcess): Promise<End> {
  const { code, stdout, stderr } = await process.output();
  const text = new TextDecoder();
  return { code, output: text.decode(stdout), errors: text.decode(stderr) };
}

/** What a job finds in each of several processes. Throws if one of them fails. */
export async function runProcesses<T>(size: number, job: string, ...args: string[]): Promise<T[]> {
  const ends = await Promise.all(startProcesses(size, job, ...args).map(endOf));
  const failed = ends.find(({ code }) => code !== 0);
  if (failed) {
    throw new Error(`${job} ended with ${failed.code} in one of ${size} processes: ${failed.errors}`);
  }
  return ends.map(({ output }) => JSON.parse(output));
}
