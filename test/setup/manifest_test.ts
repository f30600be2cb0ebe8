import assert from "node:assert/strict";
import { join } from "node:path";
import { readManifest } from "../../src/setup/manifest.ts";
import { temporaryFolder } from "../made_data.ts";

const MOVED = {
  shim: "libstec.so",
  cudaShim: null,
  cudaMissing: null,
  libtorch: "torch",
  source: "the executable",
  version: "2.13.0",
  flavour: "cpu",
  preload: ["nvidia/cu13/lib/libcudart.so.13"],
};

/** Reads a manifest that was written to a folder. */
function read(folder: string, manifest: unknown, variables: Record<string, string> = {}) {
  const path = join(folder, "native.json");
  Deno.writeTextFileSync(path, JSON.stringify(manifest));
  const environment = new Map(Object.entries({ STEC_NATIVE: path, ...variables }));
  return readManifest({ get: (name) => environment.get(name) });
}

Deno.test("manifest: its paths may be relative to it", () => {
  using folder = temporaryFolder();
  assert.deepEqual(read(folder.path, { ...MOVED, cudaShim: "libstec_cuda.so", libtorch: "/usr/torch" }), {
    ...MOVED,
    shim: join(folder.path, "libstec.so"),
    cudaShim: join(folder.path, "libstec_cuda.so"),
    libtorch: "/usr/torch",
    preload: [join(folder.path, "nvidia/cu13/lib/libcudart.so.13")],
  });
});

Deno.test("manifest: libtorch may be the user's, if it is the right one", () => {
  using folder = temporaryFolder();
  const users = join(folder.path, "a $& folder"), variables = { STEC_LIBTORCH: users };
  const manifest = { ...MOVED, libtorch: "$LIBTORCH", preload: ["$LIBTORCH/lib/libtorch_cpu.so"] };
  assert.throws(
    () => read(folder.path, manifest),
    /^Error: Cannot find libtorch: this executable comes without; set LIBTORCH to a libtorch 2\.13\.0$/,
  );
  assert.throws(
    () => read(folder.path, manifest, variables),
    /^Error: Cannot use LIBTORCH .*folder: there is no lib\/libtorch_cpu\.so in it$/,
  );
  Deno.mkdirSync(join(users, "lib"), { recursive: true });
  Deno.writeTextFileSync(join(users, "lib", "libtorch_cpu.so"), "");
  Deno.writeTextFileSync(join(users, "version.py"), "__version__ = '2.12.1'");
  assert.throws(
    () => read(folder.path, manifest, variables),
    /^Error: Cannot use LIBTORCH .*: it has version 2\.12\.1, this executable needs 2\.13\.0$/,
  );
  Deno.writeTextFileSync(join(users, "version.py"), "__version__ = '2.13.0+cpu'");
  const { libtorch, preload } = read(folder.path, manifest, variables);
  assert.deepEqual([libtorch, preload], [users, [join(users, "lib", "libtorch_cpu.so")]]);
});
