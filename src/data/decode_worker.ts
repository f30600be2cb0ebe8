/**
 * A Worker that decodes images: training steps keep the main thread busy, so that none would be decoded there meanwhile.
 *
 * @module
 */

/// <reference lib="deno.worker" />

import { messageOf } from "../base/errors.ts";
import { setThreads } from "../torch/device.ts";
import { type Budget, SharedBudget } from "./budget.ts";
import { cutsOf, Decoder } from "./decode.ts";
import { type DecodeFailure, type DecodeJob, type DecodeReply, sharedBytes } from "./decode_job.ts";
import { checkBytes } from "./image_file.ts";
import { Station, type Work } from "./station.ts";
import { openTurboJpeg } from "./turbojpeg.ts";

// The other cores have workers of their own.
setThreads(1);
const turbo = openTurboJpeg();

/** Decodes files of a job as long as there are any that no other worker has taken. */
async function decodeSome(job: DecodeJob): Promise<DecodeReply> {
  const { id, paths, places, cutting, size, memory } = job, taken = new Int32Array(job.taken);
  const sizes = new Int32Array(job.sizes), count = sizes.length / 2, length = 3 * size * size;
  const views = cutting.kind === "views" ? cutting.geometry.length : 1;
  const station = new Station(job.station), failures: DecodeFailure[] = [];
  let gray16: number | null = null;
  for (let file; (file = Atomics.add(taken, 0, 1)) < paths.length;) {
    const work = { job: id, file }, place = places[file], path = paths[file];
    const budget = (memory: SharedArrayBuffer) => waitingOutside(new SharedBudget(memory), station, work);
    const out = Array.from(
      { length: views },
      (_, view) => sharedBytes(job.pixels, (view * count + place) * length, length),
    );
    station.begin(work);
    try {
      const plan = (height: number, width: number) => cutsOf(cutting, place, height, width, size);
      using _held = budget(memory.bytes).take(checkBytes(path));
      const decoder = new Decoder(turbo, budget(memory.pixels));
      const facts = await decoder.cut(Deno.readFileSync(path), plan, size, out);
      sizes.set([facts.height, facts.width], 2 * place);
      if (facts.isGray16) gray16 ??= place;
    } catch (error) {
      failures.push({ place, reason: messageOf(error) });
    }
    station.leave();
  }
  return { id, failures, gray16 };
}

/** A budget for which a worker that waits is at nothing: others have what it waits for. */
function waitingOutside(budget: Budget, station: Station, work: Work): Budget {
  return {
    take(amount) {
      station.leave();
      const held = budget.take(amount);
      station.begin(work);
      return held;
    },
  };
}

let last: Promise<void> = Promise.resolve();
self.onmessage = ({ data: job }: MessageEvent<DecodeJob>) => {
  last = last.then(async () => self.postMessage(await decodeSome(job)));
};
