/**
 * NVIDIA's driver, and the build of libtorch that works with it.
 *
 * @module
 */

import { DRIVERS, type Environment, exists, run, wantsCuda } from "./environment.ts";

/** One of PyTorch's builds of libtorch: for the CPU, or for a version of CUDA. */
export type Build = "cpu" | "cu126" | "cu130";

/**
 * The builds for CUDA, newest first, and the oldest driver of each: a driver runs every minor version of its major one
 * (NVIDIA, CUDA Compatibility, "Minor Version Compatibility").
 */
const CUDA_BUILDS: readonly { readonly build: Build; readonly driver: number }[] = [
  { build: "cu130", driver: 580 },
  { build: "cu126", driver: 525 },
];

/** The oldest driver that works with a build for CUDA. */
const OLDEST_DRIVER = Math.min(...CUDA_BUILDS.map(({ driver }) => driver));

/** What to set up for. */
export interface WantedBuild {
  /** The build. */
  readonly build: Build;
  /** Why there is a driver but the build is for the CPU; else `null`. */
  readonly cudaMissing: string | null;
}

/** The newest build that works with a driver; the newest of all if the driver's version is not known. */
export function buildFor(driver: number | null): WantedBuild {
  const found = CUDA_BUILDS.find((candidate) => driver === null || candidate.driver <= driver);
  if (found !== undefined) return { build: found.build, cudaMissing: null };
  const cudaMissing = `NVIDIA's driver ${driver} is too old: CUDA 12 needs version ${OLDEST_DRIVER}`;
  return { build: "cpu", cudaMissing };
}

/** The major version of the driver whose library is one of `paths`, `null` if their names do not tell. */
export function driverOf(paths: readonly string[]): number | null {
  // libcuda.so.1 is a link to a file whose name ends with the driver's version, such as libcuda.so.580.65.06.
  const versions = paths.filter(exists).map((path) => /\.so\.(\d{3,})\./.exec(Deno.realPathSync(path))?.[1]);
  const version = versions.find((version) => version !== undefined);
  return version === undefined ? null : Number(version);
}

/** The driver's major version, `null` if it cannot be told. */
async function driverVersion(): Promise<number | null> {
  const version = driverOf(DRIVERS);
  if (version !== null) return version;
  const answer = await run("nvidia-smi", ["--query-gpu=driver_version", "--format=csv,noheader"]);
  return parseInt(answer?.out ?? "") || null;
}

/** The build that this machine wants. */
export async function wantedBuild(environment: Environment): Promise<WantedBuild> {
  return wantsCuda(environment) ? buildFor(await driverVersion()) : { build: "cpu", cudaMissing: null };
}
