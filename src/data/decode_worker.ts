/**
 * A Worker that decodes images: training steps keep the main thread busy, so that none would be decoded there meanwhile.
 *
 * @module
 */

/// <reference lib="deno.worker" />

import { messageOf } from "../errors.ts";
import { setThreads } from "../torch/device.ts";
import { cutsOf, Decoder } from "./decode.ts";
import { type DecodeFailure, type DecodeJob, type DecodeReply, sharedBytes } from "./decode_job.ts";
import { TurboJpeg } from "./turbojpeg.ts";

// The other cores have workers of their own.
setThreads(1);
const decoder = new Decoder(openTurboJpeg());

function openTurboJpeg(): TurboJpeg | null {
  try {
    return new TurboJpeg();
  } catch {
    return null; // The main thread has tried it as well, and says so.
  }
}

/** Decodes files of a job as long as there are any that no other worker has taken. */
async function decodeSome(job: DecodeJob): Promise<DecodeReply> {
  const { id, paths, places, cutting, size } = job, taken = new Int32Array(job.taken);
  const sizes = new Int32Array(job.sizes), count = sizes.length / 2, bytes = 3 * size * size;
  const views = cutting.kind === "views" ? cutting.views : 1;
  const failures: DecodeFailure[] = [];
  for (let i; (i = Atomics.add(taken, 0, 1)) < paths.length;) {
    const place = places[i];
    const out = Array.from(
      { length: views },
      (_, view) => sharedBytes(job.pixels, (view * count + place) * bytes, bytes),
    );
    try {
      const plan = (height: number, width: number) => cutsOf(cutting, place, height, width, size);
      sizes.set(await decoder.cut(Deno.readFileSync(paths[i]), plan, size, out), 2 * place);
    } catch (error) {
      failures.push({ place, reason: messageOf(error) });
    }
  }
  return { id, failures };
}

let last: Promise<void> = Promise.resolve();
self.onmessage = ({ data: job }: MessageEvent<DecodeJob>) => {
  last = last.then(async () => self.postMessage(await decodeSome(job)));
};
