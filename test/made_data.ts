/**
 * Small data sets in their official forms, for tests.
 *
 * @module
 */

import { Random } from "../src/random.ts";

/** A temporary folder that is removed when it is disposed of. */
export interface MadeFolder extends Disposable {
  readonly path: string;
}

/** Makes a temporary folder. */
export function temporaryFolder(): MadeFolder {
  const path = Deno.makeTempDirSync({ prefix: "stec-test-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

function records(count: number, random: Random): Uint8Array {
  const bytes = new Uint8Array(count * 3073);
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.uint32() & 0xff;
  for (let i = 0; i < count; i++) bytes[i * 3073] = i % 10;
  return bytes;
}

/** CIFAR-10 of random pixels: so many training images in five files, so many test images. */
export function writeCifar(counts: { train: number; test: number }): MadeFolder {
  const folder = temporaryFolder(), random = new Random(1);
  for (let file = 1; file <= 5; file++) {
    const count = Math.floor(counts.train * file / 5) - Math.floor(counts.train * (file - 1) / 5);
    Deno.writeFileSync(`${folder.path}/data_batch_${file}.bin`, records(count, random));
  }
  Deno.writeFileSync(`${folder.path}/test_batch.bin`, records(counts.test, random));
  return folder;
}
