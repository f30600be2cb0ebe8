/**
 * The side of `check_with_pytorch.py` that this project's own code plays: writes samples for PyTorch to open, and tells
 * what it reads from PyTorch's files.
 *
 *     deno run --allow-read --allow-write scripts/checkpoint_peer.ts write FOLDER
 *     deno run --allow-read scripts/checkpoint_peer.ts digest FILE
 *     deno run --allow-read --allow-write scripts/checkpoint_peer.ts export CHECKPOINT FOLDER
 *     deno run --allow-read --allow-ffi --allow-env scripts/checkpoint_peer.ts time FILE
 *     deno run --allow-read --allow-ffi --allow-env scripts/checkpoint_peer.ts features CHECKPOINT [maxpool]
 *
 * @module
 */

import { createHash } from "node:crypto";
import { exportEncoder, type ExportTarget } from "../src/commands/export.ts";
import { lightningTree } from "../src/checkpoint/lightning.ts";
import { readCheckpoint } from "../src/checkpoint/pytorch.ts";
import { writeCheckpoint } from "../src/checkpoint/pytorch_writer.ts";
import { readSafetensors, writeSafetensors } from "../src/checkpoint/safetensors.ts";
import { StoredTensor } from "../src/checkpoint/stored_tensor.ts";
import type { Tensor } from "../src/torch/tensor.ts";
import { sampleCheckpoint, sampleTensors, sampleValues } from "../test/checkpoint/samples.ts";

/** Every tensor of a tree by the keys that lead to it. */
function* tensorsOf(value: unknown, path: string): Generator<[path: string, tensor: StoredTensor]> {
  if (value instanceof StoredTensor) yield [path, value];
  else if (value instanceof Map) {
    for (const [key, inner] of value) {
      yield* tensorsOf(inner, `${path}/${key}`);
    }
  } else if (Array.isArray(value)) {
    for (const [i, inner] of value.entries()) yield* tensorsOf(inner, `${path}/${i}`);
  }
}

function digest(path: string): Record<string, string> {
  const isSafetensors = path.endsWith(".safetensors");
  using file = isSafetensors ? readSafetensors(path) : readCheckpoint(path);
  const digests: Record<string, string> = {};
  for (const [name, tensor] of tensorsOf("root" in file ? file.root : file.tensors, "")) {
    const hash = createHash("sha256").update(tensor.read()).digest("hex");
    digests[name] = `${tensor.dtype} [${tensor.shape.join(", ")}] ${hash}`;
  }
  return digests;
}

function write(folder: string): void {
  writeCheckpoint(`${folder}/tensors.pt`, sampleTensors());
  writeCheckpoint(`${folder}/values.pt`, sampleValues());
  writeCheckpoint(`${folder}/lightning.ckpt`, lightningTree(sampleCheckpoint()));
  writeSafetensors(`${folder}/tensors.safetensors`, sampleTensors(), { format: "pt", note: "ключ" });
}

/** Milliseconds that ten loads of a file take: to new tensors, and into a model's whose layout is the file's. */
async function time(path: string): Promise<Record<string, number[]>> {
  // The library is loaded for this alone.
  const { loadInto, loadTensor } = await import("../src/checkpoint/tensors.ts");
  const { keep, scope } = await import("../src/torch/scope.ts");
  const load = (body: (tensor: StoredTensor, key: string) => void) => {
    using file = readCheckpoint(path);
    for (const [key, tensor] of tensorsOf(file.root, "")) body(tensor, key);
  };
  const measure = (body: () => void) =>
    Array.from({ length: 10 }, () => {
      const start = performance.now();
      scope(body);
      return performance.now() - start;
    });
  const model = new Map<string, Tensor>();
  load((tensor, key) => model.set(key, keep(loadTensor(tensor))));
  return {
    "to new tensors": measure(() => load(loadTensor)),
    "into a model": measure(() => load((tensor, key) => loadInto(model.get(key)!, tensor))),
  };
}

/**
 * What a checkpoint's encoder makes of two images of a fixed pattern, which the other side makes as well.
 *
 * @param maxPool whether max-pooling follows the first convolution, where the file does not say
 */
async function features(path: string, maxPool: boolean): Promise<number[]> {
  const { loadModel } = await import("../src/training/stored_model.ts");
  const { fromTypedArray } = await import("../src/torch/create.ts");
  const { scope } = await import("../src/torch/scope.ts");
  using model = loadModel(path, "cpu", maxPool);
  const pattern = Float32Array.from({ length: 2 * 3 * 32 * 32 }, (_, i) => (i * i) % 251 / 250);
  return scope(() => model.encoder.forward(fromTypedArray(pattern, [2, 3, 32, 32])).toNumbers());
}

// deno-lint-ignore no-console
const print = (value: unknown) => console.log(JSON.stringify(value));

const [command, ...paths] = Deno.args;
switch (command) {
  case "write":
    write(paths[0]);
    break;
  case "digest":
    print(digest(paths[0]));
    break;
  case "export":
    for (const target of ["safetensors", "torchvision", "timm"] satisfies ExportTarget[]) {
      const name = target === "torchvision" ? "torchvision.pth" : `${target}.safetensors`;
      exportEncoder(paths[0], target, `${paths[1]}/${name}`);
    }
    break;
  case "time":
    print(await time(paths[0]));
    break;
  case "features":
    print(await features(paths[0], paths[1] === "maxpool"));
    break;
  default:
    throw new TypeError(`Cannot run ${command}: write, digest, export, time and features are known`);
}
