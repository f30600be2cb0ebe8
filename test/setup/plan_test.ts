import assert from "node:assert/strict";
import { join } from "node:path";
import { inspectLibtorch } from "../../src/setup/libtorch.ts";
import { type BuildPlan, manifestOf, planBuild } from "../../src/setup/plan.ts";
import { environmentOf, libtorchFiles, withFolder, writeFiles } from "./fakes.ts";

const SOURCES = {
  "native/a.cpp": "int a;",
  "native/cuda.cpp": "int c;",
  "native/b.h": "",
  "native/notes.md": "",
};
const CUDA_HEADERS = [
  "cuda_runtime_api.h",
  "crt/host_defines.h",
  "nv/target",
  "cublas_v2.h",
  "cublasLt.h",
  "cusolverDn.h",
  "cusparse.h",
];

function plan(folder: string, variables: Record<string, string> = {}): Promise<BuildPlan> {
  const environment = environmentOf({ CUDA_HOME: join(folder, "no-toolkit"), ...variables });
  const libtorch = inspectLibtorch(join(folder, "site/torch"), "LIBTORCH", environment);
  return planBuild(join(folder, "native"), libtorch, environment);
}

Deno.test("plan: the key changes with the sources, libtorch and CXX, and with nothing else", () =>
  withFolder(async (folder) => {
    writeFiles(join(folder, "site/torch"), libtorchFiles());
    writeFiles(folder, SOURCES);
    const { key, core, cuda } = await plan(folder);
    assert.deepEqual([core, cuda], [["a.cpp"], []]);
    assert.equal((await plan(folder)).key, key);
    writeFiles(folder, { "native/notes.md": "new" });
    assert.equal((await plan(folder, { HOME: "/elsewhere" })).key, key);

    const keys = new Set([key]);
    const changes: [string, string][] = [
      ["native/a.cpp", "int b;"],
      ["native/b.h", "#define B\n"],
      ["native/new.cpp", ""],
      ["site/torch/lib/libtorch_cpu.so", "another"],
      ["site/torch/version.py", "__version__ = '2.13.1'"],
    ];
    for (const [name, content] of changes) {
      writeFiles(folder, { [name]: content });
      keys.add((await plan(folder)).key);
    }
    keys.add((await plan(folder, { CXX: "clang++" })).key);
    assert.equal(keys.size, 2 + changes.length);
  }));

Deno.test("plan: the library for CUDA needs a CUDA build and its headers, and it says what is missing", () =>
  withFolder(async (folder) => {
    writeFiles(join(folder, "site/torch"), libtorchFiles());
    writeFiles(folder, SOURCES);
    const cpu = await plan(folder);
    assert.equal(cpu.cudaMissing, "libtorch from LIBTORCH is built for the CPU only");
    assert.equal(manifestOf(cpu, "/build").cudaShim, null);

    writeFiles(folder, { "site/torch/lib/libtorch_cuda.so": "" });
    for (const name of CUDA_HEADERS) writeFiles(folder, { [`site/nvidia/cu13/include/${name}`]: "" });
    const { cudaMissing } = await plan(folder);
    assert.match(cudaMissing ?? "", /^headers of CUDA are missing \(nccl\.h\): name a CUDA toolkit/);

    writeFiles(folder, {
      "toolkit/include/nccl.h": "",
      "site/nvidia/cu13/lib/libcupti.so.13": "",
      "site/nvidia/cu13/lib/libcudart.so.13": "",
      "site/nvidia/cu13/lib/libcublas.so.13": "",
    });
    const whole = await plan(folder, { CUDA_HOME: join(folder, "toolkit") });
    assert.deepEqual([whole.core, whole.cuda, whole.cudaMissing], [["a.cpp"], ["cuda.cpp"], null]);
    assert.deepEqual(
      whole.includes.slice(2),
      ["site/nvidia/cu13/include", "toolkit/include"].map((name) => join(folder, name)),
    );
    const manifest = manifestOf(whole, "/build");
    assert.equal(manifest.cudaShim, `/build/${whole.key}/libstec_cuda.so`);
    assert.deepEqual(
      manifest.preload,
      ["libcudart.so.13", "libcupti.so.13"].map((name) => join(folder, "site/nvidia/cu13/lib", name)),
    );
  }));

Deno.test("plan: headers of CUDA and NCCL of another version than libtorch's are refused", () =>
  withFolder(async (folder) => {
    writeFiles(folder, SOURCES);
    writeFiles(join(folder, "site/torch"), {
      ...libtorchFiles(),
      "version.py": "__version__ = '2.13.0+cu130'\n",
      "lib/libtorch_cuda.so": "",
    });
    const headers = Object.fromEntries(CUDA_HEADERS.map((name) => [`site/nvidia/cu13/include/${name}`, ""]));
    const missing = async (cudart: number, nccl: string) => {
      const [major, minor] = nccl.split(".");
      writeFiles(folder, {
        ...headers,
        "site/nvidia/cu13/include/cuda_runtime_api.h": `#define CUDART_VERSION  ${cudart}\n`,
        "site/nvidia/cu13/include/nccl.h":
          `#define NCCL_MAJOR ${major}\n#define NCCL_MINOR ${minor}\n#define NCCL_PATCH 1\n`,
      });
      return (await plan(folder)).cudaMissing;
    };
    assert.equal(await missing(13000, "2.18"), null, "libtorch does not say with which NCCL it was built");
    writeFiles(folder, {
      "site/torch-2.13.0.dist-info/METADATA":
        'Requires-Dist: nvidia-nccl-cu13==2.29.7; platform_system == "Linux"\n',
    });
    assert.equal(
      await missing(13000, "2.18"),
      "the header of NCCL is of version 2.18.1, libtorch was built with 2.29.7",
    );
    assert.equal(
      await missing(12060, "2.29"),
      "the header of CUDA is of version 12.6, libtorch was built with 13.0",
    );
    assert.equal(await missing(13020, "2.29"), null);
  }));
