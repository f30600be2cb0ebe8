/**
 * Downloads before a command begins: by a process of its own, so that only that one may reach the network and write to
 * the data's folder. This file is its main module, too.
 *
 * @module
 */

import type { DataSettings } from "../config/settings.ts";
import { fail } from "../config/terminal.ts";
import { type DataCommand, missingArchive, obtain } from "../data/obtain.ts";
import { launch } from "./launch.ts";
import { permissionsForDownload } from "./permissions.ts";
import { printable } from "../base/printable.ts";
import { stderrProgress } from "../setup/progress.ts";
import { onStopSignals, STOP_STATUS } from "./signals.ts";

/**
 * Downloads the data set that a command needs, if files are missing and the flags or, on a terminal, the user say so.
 *
 * @returns the exit status: 0 as well where nothing was to be done
 */
export async function fetchDataset(
  command: DataCommand,
  settings: Pick<DataSettings, "dataset" | "data_dir" | "download">,
): Promise<number> {
  const archive = missingArchive(settings, command), { dataset, data_dir, download } = settings;
  if (archive === null) return 0;
  const question =
    `${archive.title} is not in ${data_dir}. Download it (${archive.size}) from ${archive.url}?`;
  if (!download && !confirmed(question)) return 0;
  // What `deno compile` has made has one script.
  if (Deno.build.standalone) return await main(command, settings);
  return await launch([{
    script: import.meta.filename!,
    args: [command, dataset, data_dir],
    permissions: permissionsForDownload(archive, data_dir),
  }]);
}

/** Asks on a terminal; elsewhere the answer is no. */
function confirmed(question: string): boolean {
  if (!Deno.stdin.isTerminal() || !Deno.stderr.isTerminal()) return false;
  Deno.stderr.writeSync(new TextEncoder().encode(`${printable(question)} [y/N] `));
  const line = new Uint8Array(256), length = Deno.stdin.readSync(line) ?? 0;
  return /^y(es)?$/i.test(new TextDecoder().decode(line.subarray(0, length)).trim());
}

/** Downloads until it is done or is asked to stop. */
async function main(
  command: DataCommand,
  wanted: Pick<DataSettings, "dataset" | "data_dir">,
): Promise<number> {
  const progress = stderrProgress(), controller = new AbortController();
  const stopped = Promise.withResolvers<number>();
  using _ = onStopSignals((signal) => {
    controller.abort();
    progress.say("Stopped; a download goes on next time where it was");
    stopped.resolve(STOP_STATUS[signal]);
  }, () => {});
  const obtained = obtain(wanted, command, progress, { signal: controller.signal }).then(() => 0);
  obtained.catch(() => {});
  return await Promise.race([stopped.promise, obtained]);
}

if (import.meta.main) {
  const [command, dataset, data_dir] = Deno.args;
  const wanted = { dataset: dataset as DataSettings["dataset"], data_dir };
  Deno.exit(await main(command as DataCommand, wanted).catch(fail));
}
