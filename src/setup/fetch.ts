/**
 * Fetches libtorch into the cache: PyTorch's own archive, or the wheel that pip serves.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { writeFully } from "../files/atomic.ts";
import { messageOf } from "../base/errors.ts";
import { type Build, wantedBuild } from "./driver.ts";
import { type Environment, namesIn, run } from "./environment.ts";
import { makeFolder } from "./folder.ts";
import { cacheEntry, CUDA_MISSING, pythons, wantedVersion } from "./libtorch.ts";
import type { Progress } from "./progress.ts";
import { readMember, unzip } from "./unzip.ts";
import { isLibtorch, isNvidia, nvidiaRequirements } from "./wheel.ts";

const HOST = "https://download.pytorch.org";
/**
 * The archives that are used. PyTorch publishes no SHA-256 of them; these are the ones that several independent projects
 * pin. None was found for cu126, which pip fetches from PyTorch's own index with the SHA-256 that stands there.
 */
const ARCHIVE_SHA256: Readonly<Record<string, string>> = {
  "2.13.0+cpu": "edbf4cbed78433d803e90a65f1752e57783d164bce66c95c0872b2ab8f5c159e",
  "2.13.0+cu130": "945c5a3d946a28b387ad9dc9fddda7ba03e35fae1375b84ebff15df789436f82",
};
/** How long a server may be silent before it counts as out of reach. */
const SILENCE_MS = 30_000;

interface Request {
  readonly environment: Environment;
  readonly version: string;
  readonly build: Build;
  readonly progress: Progress;
}

/** Downloads `url` to the file `path`; throws, and says why, if the whole of it cannot be had. */
export async function download(url: string, path: string, progress: Progress): Promise<void> {
  const abort = new AbortController();
  let silence: ReturnType<typeof setTimeout> | undefined;
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(() => abort.abort(new Error(`no answer within ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  };
  try {
    listen();
    const response = await fetch(url, { signal: abort.signal });
    if (!response.ok || response.body === null) throw new Error(`${response.status} ${response.statusText}`);
    const total = Number(response.headers.get("content-length"));
    using file = await Deno.open(path, { write: true, create: true, truncate: true });
    let done = 0;
    for await (const chunk of response.body) {
      listen();
      writeFully(file, chunk);
      done += chunk.length;
      if (total > 0) progress.step(`Downloading ${url} (${Math.round(total / 1e6)} MB)`, done / total);
    }
    if (total > 0 && done !== total) throw new Error(`the connection broke after ${done} of ${total} bytes`);
  } catch (error) {
    // A failed fetch hides its reason in the cause.
    const reason = error instanceof Error && error.cause ? error.cause : error;
    const text = messageOf(reason).replace(`error sending request for url (${url}): `, "");
    throw new Error(`Cannot download ${url}: ${text}`);
  } finally {
    clearTimeout(silence);
  }
}

async function fromArchive({ version, build, progress }: Request, folder: string): Promise<void> {
  if (Deno.build.arch !== "x86_64") throw new Error("PyTorch has no libtorch archive for this processor");
  const sha256 = ARCHIVE_SHA256[`${version}+${build}`];
  if (sha256 === undefined) {
    throw new Error(
      `PyTorch's archive of libtorch ${version}+${build} is not used: its SHA-256 is not known`,
    );
  }
  const archive = join(folder, "libtorch.zip");
  const url = `${HOST}/libtorch/${build}/libtorch-shared-with-deps-${version}%2B${build}.zip`;
  await download(url, archive, progress);
  await checkSha256(archive, sha256, url);
  await unzip(archive, folder, undefined, (share) => progress.step("Unpacking libtorch", share));
  await Deno.remove(archive);
}

/** Throws unless the file that was downloaded from `url` has this SHA-256. */
export async function checkSha256(path: string, sha256: string, url: string): Promise<void> {
  const hash = createHash("sha256");
  const file = await Deno.open(path);
  for await (const bytes of file.readable) hash.update(bytes);
  const found = hash.digest("hex");
  if (found !== sha256) throw new Error(`Cannot use ${url}: its SHA-256 is ${found}, it should be ${sha256}`);
}

async function pipDownload(environment: Environment, options: string[], folder: string): Promise<void> {
  const tried = pythons(environment);
  // One quick attempt an index: some of those that pip is told of may be out of reach.
  const usual = ["-m", "pip", "download", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"];
  for (const python of tried) {
    const args = [...usual, "--only-binary=:all:", "--dest", folder, ...options];
    const answer = await run(python, args, Deno.stdout.isTerminal());
    if (answer === null) continue;
    if (answer.code === 0) return;
    if (answer.err.includes("No module named pip")) {
      throw new Error(`${python} has no pip (Debian, Ubuntu: apt install python3-pip)`);
    }
    const errors = answer.err.split("\n").filter((line) => line.startsWith("ERROR:"));
    throw new Error(
      `${python} -m pip download ${options.join(" ")}: ${errors.join(" ") || answer.err.trim()}`,
    );
  }
  throw new Error(`${tried.join(" and ")} not found (Debian, Ubuntu: apt install python3-pip)`);
}

/** How pip is asked for a build of torch. */
export function torchRequirement(version: string, build: Build): string[] {
  // The usual index has one build of each version, for the newest CUDA.
  if (build !== "cu126") return [`torch==${version}`];
  return [`torch==${version}+${build}`, "--extra-index-url", `${HOST}/whl/${build}`];
}

async function fromPip(request: Request, folder: string): Promise<void> {
  const { environment, version, build, progress } = request, gpu = build !== "cpu";
  const wheels = join(folder, "wheels");
  progress.say(`Fetching torch ${version} with pip`);
  await pipDownload(environment, ["--no-deps", ...torchRequirement(version, build)], wheels);
  const [torch] = namesIn(wheels);
  const metadata = await readMember(join(wheels, torch), (name) => name.endsWith(".dist-info/METADATA"));
  const nvidia = nvidiaRequirements(metadata ?? "", gpu);
  if (gpu && nvidia.length === 0) throw new Error("pip serves a build of torch without CUDA");
  if (nvidia.length > 0) {
    progress.say(`Fetching ${gpu ? "NVIDIA's libraries" : "two of NVIDIA's libraries"} with pip`);
    await pipDownload(environment, nvidia, wheels);
  }
  const wanted = (name: string) => isLibtorch(name, gpu) || isNvidia(name);
  const names = namesIn(wheels);
  for (const [index, name] of names.entries()) {
    const onProgress = (share: number) => progress.step("Unpacking libtorch", (index + share) / names.length);
    await unzip(join(wheels, name), folder, wanted, onProgress);
  }
  await Deno.remove(wheels, { recursive: true });
}

type Source = (request: Request, folder: string) => Promise<void>;

/**
 * The sources to try, best first. For a GPU pip is the best one: only NVIDIA's wheels bring headers and libraries of the
 * versions that libtorch was built with.
 */
function sourcesFor(build: Build): readonly Source[] {
  return build === "cpu" ? [fromArchive, fromPip] : [fromPip, fromArchive];
}

/** Fills `folder` from the first source that works. Returns `null`, or the failures if none does. */
async function fetchBuild(request: Request, folder: string): Promise<string | null> {
  const failures: string[] = [];
  for (const source of sourcesFor(request.build)) {
    try {
      await source(request, folder);
      return null;
    } catch (error) {
      failures.push(messageOf(error));
      request.progress.say(messageOf(error));
      for (const name of namesIn(folder)) await Deno.remove(join(folder, name), { recursive: true });
    }
  }
  return failures.join(". ");
}

/**
 * Fetches the libtorch that this machine wants and returns its folder in the cache. Where a build for CUDA cannot be had,
 * that is one for the CPU, with a note that says why.
 *
 * @throws {Error} if there is none for the CPU either; it names all that was tried
 */
export async function fetchLibtorch(environment: Environment, progress: Progress): Promise<string> {
  const { build } = await wantedBuild(environment), version = wantedVersion(environment);
  const entry = await cacheEntry(environment);
  const fill = async (folder: string) => {
    const failure = await fetchBuild({ environment, version, build, progress }, folder);
    if (failure === null) return;
    const without = build === "cpu"
      ? failure
      : await fetchBuild({ environment, version, build: "cpu", progress }, folder);
    if (without !== null) {
      throw new Error(
        `Cannot get libtorch ${version}. ${without}. Connect this machine to the network, or set LIBTORCH to a ` +
          "folder with libtorch, or LIBTORCH_USE_PYTORCH=1 to use an installed PyTorch",
      );
    }
    const note =
      `libtorch ${version} for CUDA (${build}) could not be fetched: ${failure}. Remove ${entry} ` +
      "to try again";
    await Deno.writeTextFile(join(folder, CUDA_MISSING), note);
  };
  await makeFolder(entry, fill, () => progress.say(`Waiting for another set-up that fetches ${entry}`));
  return entry;
}
