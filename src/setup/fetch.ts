/**
 * Fetches libtorch into the cache: PyTorch's own archive, or the wheel that pip serves.
 *
 * @module
 */

import { join } from "node:path";
import { writeFully } from "../checkpoint/atomic.ts";
import { messageOf } from "../errors.ts";
import { type Environment, namesIn, run, wantsCuda } from "./environment.ts";
import { cudaHeaders } from "./cuda.ts";
import { makeFolder } from "./folder.ts";
import { cacheEntry, pythons, wantedVersion } from "./libtorch.ts";
import type { Progress } from "./progress.ts";
import { readMember, unzip } from "./unzip.ts";
import { isLibtorch, isNvidia, nvidiaRequirements } from "./wheel.ts";

const HOST = "https://download.pytorch.org/libtorch";
/** How long a server may be silent before it counts as out of reach. */
const SILENCE_MS = 30_000;

interface Request {
  readonly environment: Environment;
  readonly version: string;
  readonly gpu: boolean;
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

/** PyTorch's builds to try, best first, for a machine without a GPU or with this version of NVIDIA's driver. */
export function archiveBuilds(gpu: boolean, driver: string): string[] {
  if (!gpu) return ["cpu"];
  // CUDA 13 needs driver 580. A driver whose version cannot be told is taken for a recent one.
  return (parseInt(driver) || Infinity) >= 580 ? ["cu130", "cu126"] : ["cu126"];
}

async function driverVersion(): Promise<string> {
  const answer = await run("nvidia-smi", ["--query-gpu=driver_version", "--format=csv,noheader"]);
  return answer?.out ?? "";
}

async function fromArchive({ version, gpu, progress }: Request, folder: string): Promise<void> {
  if (Deno.build.arch !== "x86_64") throw new Error("PyTorch has no libtorch archive for this processor");
  const archive = join(folder, "libtorch.zip");
  const failures: string[] = [];
  for (const build of archiveBuilds(gpu, gpu ? await driverVersion() : "")) {
    try {
      await download(
        `${HOST}/${build}/libtorch-shared-with-deps-${version}%2B${build}.zip`,
        archive,
        progress,
      );
      await unzip(archive, folder, undefined, (share) => progress.step("Unpacking libtorch", share));
      return await Deno.remove(archive);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  throw new Error(failures.join("; "));
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

async function fromPip(request: Request, folder: string): Promise<void> {
  const { environment, version, gpu, progress } = request;
  const wheels = join(folder, "wheels");
  progress.say(`Fetching torch ${version} with pip`);
  await pipDownload(environment, ["--no-deps", `torch==${version}`], wheels);
  const [torch] = namesIn(wheels);
  const metadata = await readMember(join(wheels, torch), (name) => name.endsWith(".dist-info/METADATA"));
  const nvidia = nvidiaRequirements(metadata ?? "", gpu);
  if (gpu && nvidia.length === 0) {
    progress.say("pip serves a build of torch without CUDA: the GPU will not be used");
  }
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

/**
 * Fetches the libtorch that this machine wants and returns its folder in the cache. Throws, and names all that was
 * tried, where it cannot be had.
 */
export async function fetchLibtorch(environment: Environment, progress: Progress): Promise<string> {
  const request = {
    environment,
    version: wantedVersion(environment),
    gpu: wantsCuda(environment),
    progress,
  };
  const entry = cacheEntry(environment);
  const fill = async (folder: string) => {
    const sources = [fromArchive, fromPip];
    // The archive has no headers of CUDA. Where the machine has none either, only the wheels make the GPU usable.
    if (request.gpu && cudaHeaders([], environment).missing.length > 0) sources.reverse();
    const failures: string[] = [];
    for (const source of sources) {
      try {
        return await source(request, folder);
      } catch (error) {
        failures.push(messageOf(error));
        progress.say(messageOf(error));
        for (const name of namesIn(folder)) await Deno.remove(join(folder, name), { recursive: true });
      }
    }
    throw new Error(
      `Cannot get libtorch ${request.version}. ${
        failures.join(". ")
      }. Connect this machine to the network, or set ` +
        `LIBTORCH to a folder with libtorch, or LIBTORCH_USE_PYTORCH=1 to use an installed PyTorch`,
    );
  };
  await makeFolder(entry, fill, () => progress.say(`Waiting for another set-up that fetches ${entry}`));
  return entry;
}
