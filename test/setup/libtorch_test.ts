import assert from "node:assert/strict";
import { join } from "node:path";
import { cacheEntry, findLibtorch } from "../../src/setup/libtorch.ts";
import { environmentOf, libtorchFiles, withFolder, writeFiles } from "./fakes.ts";

/** Makes a program that answers, as Python would, where torch and NVIDIA's wheels are. */
function writePython(folder: string, name: string, torch: string[], nvidia: string[] = []): string {
  const path = join(folder, name);
  writeFiles(folder, { [name]: `#!/bin/sh\necho '${JSON.stringify([path, torch, nvidia])}'\n` });
  Deno.chmodSync(path, 0o755);
  return path;
}

Deno.test("libtorch: LIBTORCH comes before PyTorch, PyTorch before the cache", () =>
  withFolder(async (folder) => {
    const entry = await cacheEntry(environmentOf({ STEC_CACHE: join(folder, "cache"), STEC_CUDA: "0" }));
    writeFiles(join(folder, "given"), libtorchFiles("2.11.0"));
    writeFiles(join(folder, "site/torch"), libtorchFiles("2.12.0"));
    const variables: Record<string, string> = {
      LIBTORCH: join(folder, "given"),
      LIBTORCH_USE_PYTORCH: "1",
      PYTHON: writePython(folder, "python", [join(folder, "site/torch")]),
      STEC_CACHE: join(folder, "cache"),
      STEC_CUDA: "0",
    };
    const find = () => findLibtorch(environmentOf(variables));
    const given = await find();
    assert.deepEqual([given?.version, given?.source, given?.flavour], ["2.11.0", "LIBTORCH", "cpu"]);
    delete variables.LIBTORCH;
    const installed = await find();
    assert.deepEqual(
      [installed?.version, installed?.source, installed?.folder],
      ["2.12.0", `the PyTorch of ${variables.PYTHON}`, join(folder, "site/torch")],
    );
    delete variables.LIBTORCH_USE_PYTORCH;
    assert.equal(await find(), null);
    writeFiles(join(entry, "torch"), libtorchFiles());
    assert.equal(await find(), null, "a folder in the cache that is not whole");
    writeFiles(entry, { ".complete": "" });
    const cached = await find();
    assert.deepEqual([cached?.version, cached?.source], ["2.13.0", "the cache"]);
  }));

Deno.test("libtorch: a CUDA build and NVIDIA's wheels are recognised, wherever pip has put them", () =>
  withFolder(async (folder) => {
    const torch = join(folder, "site/torch");
    writeFiles(torch, { ...libtorchFiles(), "lib/libtorch_cuda.so": "" });
    writeFiles(folder, {
      "site/nvidia/cu13/lib/libcudart.so.13": "",
      "user/nvidia/nccl/include/nccl.h": "",
      "user/nvidia/__init__.py": "",
    });
    const nvidia = ["site/nvidia", "user/nvidia"].map((name) => join(folder, name));
    const found = await findLibtorch(environmentOf({
      LIBTORCH_USE_PYTORCH: "1",
      PYTHON: writePython(folder, "python", [torch], nvidia),
    }));
    assert.equal(found?.flavour, "cuda");
    assert.deepEqual(found.nvidia, [join(nvidia[0], "cu13"), join(nvidia[1], "nccl")]);
  }));

Deno.test("libtorch: what cannot be used is refused in a sentence, not passed over", () =>
  withFolder(async (folder) => {
    const find = (variables: Record<string, string>) => () => findLibtorch(environmentOf(variables));
    const { "version.py": _, ...withoutVersion } = libtorchFiles();
    const { "include/ATen/ATen.h": __, ...withoutHeaders } = libtorchFiles();
    writeFiles(join(folder, "old"), libtorchFiles("2.9.1"));
    writeFiles(join(folder, "bare"), withoutHeaders);
    writeFiles(join(folder, "nameless"), withoutVersion);
    const given = (name: string) => find({ LIBTORCH: join(folder, name) });
    await assert.rejects(given("old"), /Cannot use libtorch 2\.9\.1 in .*old: 2\.11 to 2\.14 are supported/);
    await assert.rejects(given("bare"), /libtorch of LIBTORCH: there is no .*bare\/include\/ATen\/ATen\.h/);
    await assert.rejects(given("nameless"), /Cannot tell the version of libtorch in .*nameless/);
    await assert.rejects(given("none"), /Cannot use LIBTORCH: there is no folder .*none/);
    const python = writePython(folder, "python", []);
    await assert.rejects(
      find({ LIBTORCH_USE_PYTORCH: "1", PYTHON: python }),
      /LIBTORCH_USE_PYTORCH=1 asks for: .*python has no package torch\. Activate/,
    );
    await assert.rejects(
      find({ LIBTORCH_USE_PYTORCH: "1", PYTHON: join(folder, "no-python") }),
      /no-python is not installed/,
    );
  }));
