import assert from "node:assert/strict";
import { join } from "node:path";
import { resolveEval, resolveTrain } from "../../src/config/resolve.ts";
import { DOWNLOADABLE, releaseOf } from "../../src/data/catalog.ts";
import { UsageError } from "../../src/base/errors.ts";
import { denoCommand } from "../../src/launch/launch.ts";
import {
  permissionsFor,
  permissionsForDownload,
  permissionsForExport,
  permissionsForPreview,
} from "../../src/launch/permissions.ts";
import { REPOSITORY } from "../../src/setup/environment.ts";
import { type NativeManifest, readManifest } from "../../src/setup/manifest.ts";

const MANIFEST: NativeManifest = {
  shim: "/build/libstec.so",
  cudaShim: null,
  cudaMissing: null,
  libtorch: "/libtorch",
  source: "a test",
  version: "2.13.0",
  flavour: "cpu",
  preload: ["/libtorch/lib/libcupti.so"],
};

/** The values of `--allow-<what>` among flags; `undefined` where it is not allowed at all. */
function allowed(permissions: readonly string[], what: string): string[] | undefined {
  const prefix = `--allow-${what}=`;
  return permissions.find((flag) => flag.startsWith(prefix))?.slice(prefix.length).split(",");
}

Deno.test("permissions: training may write its results only, and load the library", () => {
  const permissions = permissionsFor(resolveTrain({ results_path: "R/../S" }), MANIFEST);
  assert.deepEqual(allowed(permissions, "write"), [join(Deno.cwd(), "S")]);
  assert.deepEqual(allowed(permissions, "ffi"), ["/libtorch/lib/libcupti.so", "/build/libstec.so"]);
  assert.equal(allowed(permissions, "net"), undefined);
  assert.equal(allowed(permissions, "run"), undefined);
  for (
    const all of [
      "-A",
      "--allow-all",
      "--allow-write",
      "--allow-ffi",
      "--allow-env",
      "--allow-net",
      "--allow-run",
    ]
  ) {
    assert(!permissions.includes(all), all);
  }
});

Deno.test("permissions: an evaluation without results_path may write nothing", () => {
  const permissions = permissionsFor(resolveEval({ ckpt_path: "C" }), MANIFEST);
  assert(!permissions.some((flag) => flag.startsWith("--allow-write")));
});

Deno.test("permissions: a preview may write its page, and load sharp whatever the data set", () => {
  const permissions = permissionsForPreview(MANIFEST, ["/P", "/P.tmp-1"]);
  assert.deepEqual(allowed(permissions, "write"), ["/P", "/P.tmp-1"]);
  assert.deepEqual(allowed(permissions, "ffi"), [
    "/libtorch/lib/libcupti.so",
    "/build/libstec.so",
    join(REPOSITORY, "node_modules"),
  ]);
});

Deno.test("permissions: an export may write its file and nothing more", () => {
  const permissions = permissionsForExport(["/F", "/F.tmp-1"]);
  assert.deepEqual(permissions.filter((flag) => !flag.startsWith("--allow-env=")), [
    "--no-prompt",
    "--allow-read",
    "--allow-write=/F,/F.tmp-1",
  ]);
});

for (const archive of DOWNLOADABLE.map((name) => releaseOf(name)!.archive)) {
  Deno.test(`permissions: a download of ${archive.title} may write to data_dir and reach its official host`, () => {
    const permissions = permissionsForDownload(archive, "/D");
    assert.deepEqual(allowed(permissions, "write"), ["/D"]);
    assert.deepEqual(allowed(permissions, "net"), [new URL(archive.url).hostname]);
    assert.equal(allowed(permissions, "ffi"), undefined);
  });
}

Deno.test("permissions: who trains on a downloaded data set may not download", () => {
  const settings = resolveTrain({ dataset: "cifar10", download: true, data_dir: "/D", results_path: "/R" });
  const permissions = permissionsFor(settings, MANIFEST);
  assert.deepEqual([allowed(permissions, "write"), allowed(permissions, "net")], [["/R"], undefined]);
});

Deno.test("permissions: CUDA's library is added where there is one, sharp's where JPEGs are decoded", () => {
  const manifest = { ...MANIFEST, cudaShim: "/build/libstec_cuda.so", preload: [] };
  assert.deepEqual(allowed(permissionsFor(resolveTrain({ dataset: "imagenet" }), manifest), "ffi"), [
    "/build/libstec.so",
    "/build/libstec_cuda.so",
    join(REPOSITORY, "node_modules"),
  ]);
});

Deno.test("permissions: a path that Deno would split is refused", () => {
  assert.throws(
    () => permissionsFor(resolveTrain({ results_path: "a,b" }), MANIFEST),
    (error) => error instanceof UsageError && /^Cannot use the path a,b: /.test(error.message),
  );
});

Deno.test("permissions: Deno grants what a run needs, sharp included, and nothing else", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const results = join(folder, "results");
    const permissions = permissionsFor(resolveTrain({ dataset: "folder", results_path: results }), MANIFEST);
    const attempts = join(REPOSITORY, "test", "launch", "attempt.ts");
    const { stdout } = await new Deno.Command(denoCommand(), {
      args: ["run", ...permissions, attempts, results, folder],
      stderr: "inherit",
    }).output();
    assert.deepEqual(new TextDecoder().decode(stdout).trim().split("\n"), [
      "read anything: yes",
      "make the results folder: yes",
      "write results: yes",
      "rename results: yes",
      "see STEC_DEBUG: yes",
      "see HOME: yes",
      "listen to signals: yes",
      "decode JPEG: yes",
      "write elsewhere: no",
      "see PATH: no",
      "run programs: no",
      "reach the network: no",
      "load other libraries: no",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("permissions: they do not limit native code, as the README says", async () => {
  const { shim } = readManifest();
  const program = `const { symbols } = Deno.dlopen(${JSON.stringify(shim)}, {
      system: { parameters: ["buffer"], result: "i32" },
    });
    symbols.system(new TextEncoder().encode("echo escaped\\0"));`;
  const url = `data:application/javascript,${encodeURIComponent(program)}`;
  const { stdout, stderr } = await new Deno.Command(denoCommand(), {
    args: ["run", "--no-prompt", `--allow-ffi=${shim}`, url],
  }).output();
  assert.equal(new TextDecoder().decode(stdout), "escaped\n", new TextDecoder().decode(stderr));
  const readme = Deno.readTextFileSync(join(REPOSITORY, "README.md")).replaceAll(/\s+/g, " ");
  assert.match(readme, /They do not limit native code\./);
});
