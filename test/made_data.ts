/**
 * Small data sets in their official forms, for tests.
 *
 * @module
 */

import sharp from "sharp";
import { Random } from "../src/base/random.ts";

/** A temporary folder that is removed when it is disposed of. */
export interface MadeFolder extends Disposable {
  readonly path: string;
}

/** Makes a temporary folder. */
export function temporaryFolder(): MadeFolder {
  const path = Deno.makeTempDirSync({ prefix: "stec-test-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** Random bytes, as many for each record as it has, and before them its labels. */
function records(count: number, bytes: number, random: Random, labels: (i: number) => number[]): Uint8Array {
  const parts = Array.from({ length: count }, (_, i) => {
    const head = labels(i), record = Uint8Array.from({ length: head.length + bytes }, () => random.uint32());
    record.set(head);
    return record;
  });
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.forEach((part, i) => whole.set(part, i * part.length));
  return whole;
}

/** How many images a made data set has. */
export interface Counts {
  readonly train: number;
  readonly test: number;
}

/** CIFAR-10 of random pixels: so many training images in five files, so many test images. */
export function writeCifar(counts: Counts): MadeFolder {
  const folder = temporaryFolder(), random = new Random(1);
  const write = (name: string, count: number) =>
    Deno.writeFileSync(`${folder.path}/${name}`, records(count, 3072, random, (i) => [i % 10]));
  for (let file = 1; file <= 5; file++) {
    const count = Math.floor(counts.train * file / 5) - Math.floor(counts.train * (file - 1) / 5);
    write(`data_batch_${file}.bin`, count);
  }
  write("test_batch.bin", counts.test);
  return folder;
}

/** CIFAR-100 of random pixels. */
export function writeCifar100(counts: Counts): MadeFolder {
  const folder = temporaryFolder(), random = new Random(2);
  for (const [split, count] of Object.entries(counts)) {
    const bytes = records(count, 3072, random, (i) => [i % 20, i % 100]);
    Deno.writeFileSync(`${folder.path}/${split}.bin`, bytes);
  }
  return folder;
}

/** STL-10 of random pixels. */
export function writeStl10(counts: Counts & { readonly unlabeled: number }): MadeFolder {
  const folder = temporaryFolder(), random = new Random(3);
  for (const [split, count] of Object.entries(counts)) {
    Deno.writeFileSync(
      `${folder.path}/${split}_X.bin`,
      records(count, 3 * 96 * 96, random, () => []),
    );
    if (split === "unlabeled") continue;
    Deno.writeFileSync(
      `${folder.path}/${split}_y.bin`,
      Uint8Array.from({ length: count }, (_, i) => i % 10 + 1),
    );
  }
  return folder;
}

/** A JPEG of a coarse random pattern. */
export async function madeJpeg(width: number, height: number, seed: number): Promise<Uint8Array> {
  const random = new Random(4, seed), pixels = Uint8Array.from({ length: 3 * 8 * 8 }, () => random.uint32());
  return await sharp(pixels, { raw: { width: 8, height: 8, channels: 3 } })
    .resize(width, height, { fit: "fill", kernel: "cubic" }).jpeg().toBuffer();
}

/** JPEGs of several sizes, so many in each folder. */
export async function writeJpegs(root: string, folders: Readonly<Record<string, number>>): Promise<void> {
  let seed = 0;
  for (const [folder, count] of Object.entries(folders)) {
    Deno.mkdirSync(`${root}/${folder}`, { recursive: true });
    for (let i = 0; i < count; i++) {
      const name = `${folder}/${String(i).padStart(4, "0")}.JPEG`;
      Deno.writeFileSync(`${root}/${name}`, await madeJpeg(40 + 7 * (seed % 5), 56 - 9 * (seed % 4), seed++));
    }
  }
}

/** ImageNet with two classes. */
export async function writeImageNet(counts: Counts): Promise<MadeFolder> {
  const folder = temporaryFolder();
  const halves = (split: string, count: number) => ({
    [`${split}/n01440764`]: Math.ceil(count / 2),
    [`${split}/n01443537`]: Math.floor(count / 2),
  });
  await writeJpegs(folder.path, { ...halves("train", counts.train), ...halves("val", counts.test) });
  return folder;
}
