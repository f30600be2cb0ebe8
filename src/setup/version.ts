/**
 * Which versions of libtorch the native library is written for.
 *
 * @module
 */

import { type Environment, isOn } from "./environment.ts";

/** The version that a set-up fetches where the user brings none. */
export const PINNED_VERSION = "2.13.0";

const OLDEST = "2.11";
const NEWEST = "2.14";

/**
 * Finds the version in one of the files that libtorch and PyTorch carry it in: `version.py`, `build-version`,
 * `version.h`. `null` where there is none.
 */
export function parseVersion(text: string): string | null {
  const python = /^__version__\s*(?::[^=]*)?=\s*['"](\d+\.\d+\.\d+)/m.exec(text);
  const header = /^#define TORCH_VERSION\s[\s\\]*"(\d+\.\d+\.\d+)/m.exec(text);
  const plain = /^\s*(\d+\.\d+\.\d+)/.exec(text);
  return (python ?? header ?? plain)?.[1] ?? null;
}

/** Finds the version of CUDA, such as `13.0`, in the same files. `null` where there is none. */
export function parseCuda(text: string): string | null {
  const [, major, minor] = /\+cu(\d+)(\d)\b/.exec(text) ?? /^cuda\b[^=]*=\s*'(\d+)\.(\d+)/m.exec(text) ?? [];
  return major === undefined ? null : `${major}.${minor}`;
}

function minor(version: string): number {
  const [major, second] = version.split(".").map(Number);
  return major * 1000 + second;
}

/** Throws unless `version` is one that is supported, or LIBTORCH_BYPASS_VERSION_CHECK=1 waives the check. */
export function checkVersion(version: string, folder: string, environment: Environment): void {
  const supported = minor(version) >= minor(OLDEST) && minor(version) <= minor(NEWEST);
  if (supported || isOn(environment.get("LIBTORCH_BYPASS_VERSION_CHECK"))) return;
  throw new Error(
    `Cannot use libtorch ${version} in ${folder}: ${OLDEST} to ${NEWEST} are supported ` +
      `(LIBTORCH_BYPASS_VERSION_CHECK=1 tries it all the same)`,
  );
}
