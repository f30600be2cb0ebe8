import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { exists, namesIn } from "../../src/setup/environment.ts";
import { type NativeManifest, readManifest } from "../../src/setup/manifest.ts";
import { setUp } from "../../src/setup/setup.ts";
import {
  endOf,
  environmentOf,
  libtorchFiles,
  linkableLibtorchFiles,
  listedProgress,
  startSetup,
  torchWheel,
  withFolder,
  writeFakePip,
  writeFiles,
  writeRepository,
} from "./fakes.ts";

const PATH = Deno.env.get("PATH") ?? "";

function answerOf({ shim }: NativeManifest): number {
  const library = Deno.dlopen(shim, { answer: { parameters: [], result: "i32" } });
  const answer = library.symbols.answer();
  library.close();
  return answer;
}

/** Waits until the stand-in for pip has begun, or ended. */
async function call(folder: string, what: "begin" | "end"): Promise<void> {
  const calls = join(folder, "calls");
  while (!exists(calls) || !Deno.readTextFileSync(calls).includes(what)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

Deno.test("setup: compiles what has changed, and nothing else", () =>
  withFolder(async (folder) => {
    const repository = join(folder, "repository");
    writeRepository(repository);
    writeFiles(join(folder, "libtorch"), await linkableLibtorchFiles());
    const environment = environmentOf({
      LIBTORCH: join(folder, "libtorch"),
      STEC_CACHE: join(folder, "cache"),
    });
    assert.throws(() => readManifest(environment, repository), /run `deno task setup` first/);

    const first = await setUp(environment, listedProgress(), repository);
    assert.equal(answerOf(first), 42);
    assert.deepEqual(readManifest(environment, repository), first);
    const objects = join(repository, "build/objects");
    assert.equal(namesIn(objects).length, 2);

    const idle = listedProgress();
    assert.deepEqual(await setUp(environment, idle, repository), first);
    assert.deepEqual(idle.lines, []);

    writeFiles(repository, { "native/other.cpp": "int other() { return 2; }\n" });
    await setUp(environment, listedProgress(), repository);
    assert.equal(namesIn(objects).length, 3, "one of two sources");

    writeFiles(repository, { "native/stec.h": "#define ANSWER 43\n" });
    const last = await setUp(environment, listedProgress(), repository);
    assert.equal(answerOf(last), 43);
    assert.equal(namesIn(objects).length, 5, "both sources, for a header has changed");
    assert.deepEqual(readManifest(environment, repository), last);
  }));

Deno.test("setup: reports what the compiler says, and keeps the last library", () =>
  withFolder(async (folder) => {
    const repository = join(folder, "repository");
    writeRepository(repository);
    writeFiles(join(folder, "libtorch"), await linkableLibtorchFiles());
    const environment = environmentOf({
      LIBTORCH: join(folder, "libtorch"),
      STEC_CACHE: join(folder, "cache"),
    });
    const good = await setUp(environment, listedProgress(), repository);
    for (
      const [text, message] of [["int x = nothing;\n", /compile other\.cpp:[^]*nothing/], [
        "void nowhere();\nvoid other() { nowhere(); }\n",
        /link libstec\.so:[^]*nowhere/,
      ]] as const
    ) {
      writeFiles(repository, { "native/other.cpp": text });
      await assert.rejects(() => setUp(environment, listedProgress(), repository), message);
      assert.deepEqual(readManifest(environment, repository), good);
      assert.equal(answerOf(good), 42);
    }
    assert.deepEqual(namesIn(join(repository, "build")).filter((name) => name.includes("tmp")), []);
  }));

Deno.test("setup: builds in the cache where the repository cannot be written", () =>
  withFolder(async (folder) => {
    const repository = join(folder, "repository");
    writeRepository(repository);
    writeFiles(join(folder, "libtorch"), await linkableLibtorchFiles());
    const environment = environmentOf({
      LIBTORCH: join(folder, "libtorch"),
      STEC_CACHE: join(folder, "cache"),
    });
    // Permissions do not stop root, but a file in the folder's place does.
    writeFiles(repository, { build: "" });
    const elsewhere = await setUp(environment, listedProgress(), repository);
    assert.ok(elsewhere.shim.startsWith(join(folder, "cache/build/")));
    assert.equal(answerOf(elsewhere), 42);
    assert.deepEqual(readManifest(environment, repository), elsewhere);
    const idle = listedProgress();
    await setUp(environment, idle, repository);
    assert.deepEqual(idle.lines, []);

    Deno.removeSync(join(repository, "build"));
    writeFiles(repository, { "native/stec.h": "#define ANSWER 44\n" });
    const own = await setUp(environment, listedProgress(), repository);
    assert.equal(dirname(dirname(own.shim)), join(repository, "build"));
    assert.deepEqual(readManifest(environment, repository), own);
  }));

Deno.test("setup: two at a time, from a wheel, fetch and compile once", () =>
  withFolder(async (folder) => {
    const repository = join(folder, "repository");
    writeRepository(repository);
    const PYTHON = writeFakePip(folder, torchWheel(await linkableLibtorchFiles()));
    const variables = { PATH, PYTHON, STEC_CACHE: join(folder, "cache") };
    writeFiles(folder, { hold: "" });
    const both = [startSetup(repository, variables), startSetup(repository, variables)];
    // The wheel is served when one of them has asked for it and the other waits.
    const ends = both.map(endOf);
    await call(folder, "begin");
    Deno.removeSync(join(folder, "hold"));
    for (const { code, said } of await Promise.all(ends)) assert.equal(code, 0, said);
    assert.equal(Deno.readTextFileSync(join(folder, "calls")), "begin\nend\n");
    assert.equal(namesIn(join(repository, "build/objects")).length, 2);
    const entry = join(folder, "cache/libtorch/2.13.0-cpu");
    assert.deepEqual(namesIn(entry), [".complete", "torch", "torch-2.13.0.dist-info"]);
    assert.deepEqual(namesIn(join(entry, "torch")), ["include", "lib", "version.py"]);
    assert.equal(answerOf(readManifest(environmentOf(variables), repository)), 42);
  }));

Deno.test("setup: one that is killed leaves nothing that hinders the next", () =>
  withFolder(async (folder) => {
    const repository = join(folder, "repository");
    writeRepository(repository);
    const PYTHON = writeFakePip(folder, torchWheel(await linkableLibtorchFiles()));
    const variables = { PATH, PYTHON, STEC_CACHE: join(folder, "cache") };
    writeFiles(folder, { hold: "" });
    const killed = startSetup(repository, variables);
    await call(folder, "begin");
    killed.kill("SIGKILL");
    await endOf(killed);
    const cache = join(folder, "cache/libtorch");
    assert.equal(namesIn(cache).filter((name) => name.includes("tmp")).length, 1);
    Deno.removeSync(join(folder, "hold"));
    // pip outlives the set-up that has called it, and still writes into what that has left.
    await call(folder, "end");
    const { code, said } = await endOf(startSetup(repository, variables));
    assert.equal(code, 0, said);
    assert.deepEqual(namesIn(cache), [".2.13.0-cpu.lock", "2.13.0-cpu"]);
  }));

Deno.test("setup: what is missing is said in a sentence, with status 1 and no stack trace", () =>
  withFolder(async (folder) => {
    const repository = join(folder, "repository");
    writeRepository(repository);
    writeFiles(join(folder, "libtorch"), libtorchFiles());
    const STEC_CACHE = join(folder, "cache");
    const failure = async (variables: Record<string, string>) => {
      const { code, said } = await endOf(startSetup(repository, { STEC_CACHE, ...variables }));
      assert.equal(code, 1);
      return said;
    };
    const noCompiler = await failure({ PATH: "", LIBTORCH: join(folder, "libtorch") });
    assert.equal(
      noCompiler.split("\n").at(-2),
      "Cannot find a C++ compiler: tried c++, g++, clang++. Install one (Debian, Ubuntu: apt install g++; " +
        "Fedora: dnf install gcc-c++), or name one in CXX",
    );
    const nothing = await failure({ PATH: "" });
    assert.match(
      nothing.split("\n").at(-2) ?? "",
      /^Cannot get libtorch 2\.13\.0\. Cannot download https:.*\. python3 and python not found .*\. Connect this/,
    );
    writeFiles(folder, { "no-pip": "#!/bin/sh\necho 'python3: No module named pip' >&2\nexit 1\n" });
    writeFiles(folder, {
      "no-torch": "#!/bin/sh\necho 'WARNING: w\nERROR: No matching wheel' >&2\nexit 1\n",
    });
    for (const name of ["no-pip", "no-torch"]) Deno.chmodSync(join(folder, name), 0o755);
    const noPip = await failure({ PATH: "", PYTHON: join(folder, "no-pip") });
    assert.match(noPip, /no-pip has no pip \(Debian, Ubuntu: apt install python3-pip\)\. Connect/);
    const noTorch = await failure({ PATH: "", PYTHON: join(folder, "no-torch") });
    assert.match(noTorch, /pip download --no-deps torch==2\.13\.0: ERROR: No matching wheel\. Connect/);
    assert.doesNotMatch(noCompiler + nothing, /\n\s+at /);
    assert.match(await failure({ PATH: "", STEC_DEBUG: "1" }), /\n\s+at /);
    assert.deepEqual(namesIn(join(STEC_CACHE, "libtorch")), [".2.13.0-cpu.lock"]);
  }));

Deno.test("setup: a library for CUDA that cannot be built leaves the CPU's usable, with the reason", () =>
  withFolder(async (folder) => {
    const repository = join(folder, "repository");
    writeRepository(repository);
    writeFiles(repository, { "native/cuda.cpp": "int broken = nothing;\n" });
    writeFiles(join(folder, "libtorch"), { ...await linkableLibtorchFiles(), "lib/libtorch_cuda.so": "" });
    const headers = ["crt/host_defines.h", "nv/target", "cublas_v2.h", "cublasLt.h", "cusolverDn.h"];
    for (const name of [...headers, "cuda_runtime_api.h", "cusparse.h", "nccl.h"]) {
      writeFiles(folder, { [`toolkit/include/${name}`]: "" });
    }
    const environment = environmentOf({
      LIBTORCH: join(folder, "libtorch"),
      STEC_CACHE: join(folder, "cache"),
      CUDA_HOME: join(folder, "toolkit"),
      STEC_CUDA: "1",
    });
    const progress = listedProgress(), manifest = await setUp(environment, progress, repository);
    assert.equal(answerOf(manifest), 42);
    assert.equal(manifest.cudaShim, null);
    assert.equal(manifest.cudaMissing, "Cannot compile cuda.cpp");
    assert.equal(progress.lines.at(-1), "CUDA is not available: Cannot compile cuda.cpp");
    const idle = listedProgress();
    assert.deepEqual(await setUp(environment, idle, repository), manifest);
    assert.deepEqual(idle.lines, []);
  }));

Deno.test("setup: where libtorch for CUDA cannot be had, one for the CPU is fetched and says why", () =>
  withFolder(async (folder) => {
    const repository = join(folder, "repository");
    writeRepository(repository);
    const PYTHON = writeFakePip(folder, torchWheel(await linkableLibtorchFiles()));
    const variables = { PATH, PYTHON, STEC_CACHE: join(folder, "cache"), STEC_CUDA: "1" };
    const { code, said } = await endOf(startSetup(repository, variables));
    assert.equal(code, 0, said);
    const { flavour, cudaMissing } = readManifest(environmentOf(variables), repository);
    assert.equal(flavour, "cpu");
    assert.match(
      cudaMissing ?? "",
      /^libtorch 2\.13\.0 for CUDA \(cu130\) could not be fetched: pip serves a build/,
    );
  }));
