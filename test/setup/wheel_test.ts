import assert from "node:assert/strict";
import { isLibtorch, isNvidia, nvidiaRequirements } from "../../src/setup/wheel.ts";

Deno.test("wheel: libtorch is its libraries, headers and licences, not Python's part nor tests", () => {
  const members = [
    "torch/version.py",
    "torch/include/ATen/ATen.h",
    "torch-2.13.0+cpu.dist-info/licenses/LICENSE",
    "torch-2.13.0+cpu.dist-info/METADATA",
    "torch/lib/libc10.so",
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libgomp.so.1",
    "torch/lib/libgomp-24e2ab19.so.1.0.0",
    "torch/lib/libtorch_cuda.so",
    "torch/lib/libtorch_cuda_linalg.so",
    "torch/lib/libc10_cuda.so",
    "torch/lib/libtorch_nvshmem.so",
    "torch/lib/libcaffe2_nvrtc.so",
    "torch/lib/libtorch.so",
    "torch/__init__.py",
    "torch/_C.cpython-311-x86_64-linux-gnu.so",
    "torch/lib/libtorch_python.so",
    "torch/lib/libtorchbind_test.so",
    "torch/lib/libjitbackend_test.so",
    "torch/lib/libbackend_with_compiler.so",
    "torch/lib/libaoti_custom_ops.so",
    "torch/lib/libshm.so",
    "torch/lib/libshm/err.h",
    "torch/bin/protoc",
    "torch-2.13.0+cpu.dist-info/RECORD",
    "torchgen/include/x.h",
  ];
  assert.deepEqual(members.filter((name) => isLibtorch(name, true)), members.slice(0, 14));
  assert.deepEqual(members.filter((name) => isLibtorch(name, false)), members.slice(0, 8));
});

Deno.test("wheel: of NVIDIA's wheels, shared libraries and headers are unpacked", () => {
  const wanted = [
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/nccl/include/nccl.h",
    "nvidia/cu13/include/a/b.h",
  ];
  const others = [
    "nvidia/cu13/lib/libcudart_static.a",
    "nvidia/cu13/bin/nvcc",
    "nvidia_nccl.dist-info/METADATA",
  ];
  assert.deepEqual([...wanted, ...others].filter(isNvidia), wanted);
});

const OTHERS = `Metadata-Version: 2.1
Name: torch
Requires-Dist: sympy>=1.13.3
Requires-Dist: cuda-bindings<14,>=13.0.3; platform_system == "Linux" and python_version < "3.15"
Requires-Dist: triton~=3.8.0; platform_system == "Linux"
`;

Deno.test("wheel: NVIDIA's requirements are found as extras of cuda-toolkit", () => {
  const metadata = OTHERS +
    'Requires-Dist: cuda-toolkit[cublas,cudart,cupti,nvtx]==13.0.3; platform_system == "Linux"\n' +
    'Requires-Dist: nvidia-cudnn-cu13==9.24.0.43; platform_system == "Linux"\n';
  assert.deepEqual(nvidiaRequirements(metadata, false), ["cuda-toolkit[cudart,cupti]==13.0.3"]);
  assert.deepEqual(nvidiaRequirements(metadata, true), [
    "cuda-toolkit[cublas,cudart,cupti,nvtx,cccl,crt]==13.0.3",
    "nvidia-cudnn-cu13==9.24.0.43",
  ]);
});

Deno.test("wheel: NVIDIA's requirements are found one by one", () => {
  const metadata = OTHERS +
    'Requires-Dist: nvidia-cuda-runtime-cu12==12.6.77; platform_system == "Linux"\n' +
    'Requires-Dist: nvidia-cuda-cupti-cu12 (==12.6.80) ; platform_system == "Linux"\n' +
    'Requires-Dist: nvidia-nccl-cu12==2.27.3; platform_system == "Linux"\n';
  const forCpu = ["nvidia-cuda-runtime-cu12==12.6.77", "nvidia-cuda-cupti-cu12==12.6.80"];
  assert.deepEqual(nvidiaRequirements(metadata, false), forCpu);
  const forCompiling = ["nvidia-cuda-nvcc-cu12==12.6.*", "nvidia-cuda-cccl-cu12==12.6.*"];
  assert.deepEqual(nvidiaRequirements(metadata, true), [
    ...forCompiling,
    ...forCpu,
    "nvidia-nccl-cu12==2.27.3",
  ]);
  assert.deepEqual(nvidiaRequirements(OTHERS, true), []);
});
