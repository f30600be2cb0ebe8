/** The commands as the tasks start them: processes with the permissions that deno.json gives. */

import assert from "node:assert/strict";
import { join } from "node:path";
import project from "../../deno.json" with { type: "json" };
import { exportEncoder } from "../../src/commands/export.ts";
import { writeCheckpoint } from "../../src/checkpoint/pytorch_writer.ts";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { denoCommand } from "../../src/launch/launch.ts";
import { REPOSITORY } from "../../src/setup/environment.ts";
import { source } from "../checkpoint/files.ts";
import { temporaryFolder, writeCifar } from "../made_data.ts";
import { writeModel } from "../made_model.ts";

type Task = "probe" | "preview" | "export" | "inspect";

/** A process as `deno task` starts it, but for its set-up. */
function command(task: Task, args: readonly string[], env: Record<string, string> = {}): Deno.Command {
  const [deno, ...words] = project.tasks[task].command.split(" ");
  assert.equal(deno, "deno");
  return new Deno.Command(denoCommand(), {
    args: [...words, ...args],
    cwd: REPOSITORY,
    env: { STEC_DEBUG: "0", ...env },
    stdout: "piped",
    stderr: "piped",
  });
}

async function run(task: Task, args: readonly string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await command(task, args, env).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** Makes every attempt to load the library fail. */
const NO_LIBRARY = { STEC_NATIVE: "/none/native.json" };

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

Deno.test("commands: export writes what exportEncoder does, without the library and without set-up", async () => {
  assert.ok(!("dependencies" in project.tasks.export));
  using folder = temporaryFolder();
  const ckpt_path = join(folder.path, "a.ckpt"), output = join(folder.path, "encoder.safetensors");
  writeModel(ckpt_path);
  const { code, out, err } = await run("export", ["--ckpt_path", ckpt_path, "-o", output], NO_LIBRARY);
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /^Wrote the encoder of .*a\.ckpt to .*encoder\.safetensors:\n/);
  assert.match(out, /^ {2}stem: 3x3 convolution of stride 1, 3x3 max-pooling of stride 2$/m);
  assert.match(out, /^ {2}head: none: /m);
  assert.match(out, /^ {2}load: model = torchvision\.models\.resnet18\(\); /m);
  assert.deepEqual(namesIn(folder.path), ["a.ckpt", "encoder.safetensors"], "nothing else is left");
  exportEncoder(ckpt_path, "safetensors", join(folder.path, "expected"));
  assert.deepEqual(Deno.readFileSync(output), Deno.readFileSync(join(folder.path, "expected")));
  using file = readSafetensors(output);
  assert.ok(file.tensors.has("layer4.1.bn2.weight") && !file.tensors.has("fc.weight"));
});

Deno.test("commands: a search path for libraries in the environment, as in CUDA's containers, is no hindrance", async () => {
  const { code, out, err } = await run("export", ["--ckpt_path", "none.ckpt", "-o", "none.pth"], {
    ...NO_LIBRARY,
    LD_LIBRARY_PATH: "/usr/local/nvidia/lib64",
  });
  assert.deepEqual({ code, out, err }, {
    code: 1,
    out: "",
    err: "Cannot read none.ckpt: there is no such file\n",
  });
});

Deno.test("commands: export says in one sentence what cannot be written, and leaves nothing", async () => {
  using folder = temporaryFolder();
  const ckpt_path = join(folder.path, "a.ckpt"), output = join(folder.path, "encoder.pth");
  writeModel(ckpt_path);
  const tooNarrow = await run("export", ["--ckpt_path", ckpt_path, "--to", "timm", "-o", output], NO_LIBRARY);
  assert.deepEqual([tooNarrow.code, tooNarrow.out], [1, ""]);
  assert.match(tooNarrow.err, /^Cannot export .* for timm: its ResNets are 64 wide, this encoder is 4\n$/);
  const missing = await run("export", ["--ckpt_path", "none.ckpt", "-o", output], NO_LIBRARY);
  assert.deepEqual(missing, { code: 1, out: "", err: "Cannot read none.ckpt: there is no such file\n" });
  assert.deepEqual(namesIn(folder.path), ["a.ckpt"]);
});

Deno.test("commands: inspect shows a file as a tree, without the library and without set-up", async () => {
  assert.ok(!("dependencies" in project.tasks.inspect));
  assert.doesNotMatch(project.tasks.inspect.command, /write|ffi|net|run=|-A/);
  using folder = temporaryFolder();
  const path = join(folder.path, "a.ckpt");
  writeModel(path);
  const { code, out, err } = await run("inspect", [path], NO_LIBRARY);
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /^ {2}encoder\.conv1\.weight +float32 \[4, 3, 3, 3\] 432 bytes$/m);
  assert.match(out, /^ {2}width: 4$/m);
  const missing = await run("inspect", ["none"], NO_LIBRARY);
  assert.deepEqual(missing, { code: 1, out: "", err: "Cannot read none: there is no such file\n" });
});

Deno.test("commands: inspect ends quietly when nobody reads on, as before head", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.pt"), one = source("float32", [1], [1]);
  writeCheckpoint(path, new Map(Array.from({ length: 5000 }, (_, i) => [`a tensor, number ${i}`, one])));
  const process = command("inspect", [path]).spawn();
  const reader = process.stdout.getReader();
  await reader.read();
  await reader.cancel();
  const [{ code }, errors] = await Promise.all([process.status, new Response(process.stderr).text()]);
  assert.deepEqual([code, errors], [0, ""]);
});

Deno.test("commands: probe prints the accuracies and writes them", async () => {
  using folder = writeCifar({ train: 30, test: 10 });
  const ckpt_path = join(folder.path, "a.ckpt"), results = join(folder.path, "results");
  writeModel(ckpt_path);
  const flags = ["--dataset", "cifar10", "--data-dir", folder.path, "--ckpt-path", ckpt_path, "--gpus", "0"];
  const { code, out, err } = await run("probe", [...flags, "--arch", "resnet18", "--results-path", results]);
  assert.equal(code, 0, err);
  assert.match(
    out,
    /^32 features, 30 training and 10 test images; test accuracies:\n {2}linear probe +\d\.\d{4} /,
  );
  assert.match(err, /^Without effect on probe: --arch\n/);
  assert.match(err, /^Features of 30 images: 100%$/m);
  assert.deepEqual(namesIn(results), ["probe_flags.json", "probe_results.json"]);
});

Deno.test("commands: preview writes one page and nothing else", async () => {
  using folder = writeCifar({ train: 10, test: 5 });
  const ckpt_path = join(folder.path, "a.ckpt"), pages = join(folder.path, "pages");
  writeModel(ckpt_path);
  Deno.mkdirSync(pages);
  const flags = ["--dataset", "cifar10", "--data_dir", folder.path, "--ckpt_path", ckpt_path, "--count", "2"];
  const { code, out, err } = await run("preview", [...flags, "-o", join(pages, "page.html")]);
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /^Wrote .*page\.html: 2 images, open it in a browser\n$/);
  assert.deepEqual(namesIn(pages), ["page.html"]);
  assert.match(Deno.readTextFileSync(join(pages, "page.html")), /<p class="score">Right: \d of 8 entries/);
});
