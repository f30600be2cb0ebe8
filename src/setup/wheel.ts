/**
 * Which parts of PyTorch's wheels libtorch needs.
 *
 * @module
 */

const NOT_NEEDED = /python|_test|custom_ops|backend_with_compiler|libshm/;
const NEEDS_GPU = /cuda|nvrtc|nvshmem|libtorch\.so/;

/**
 * Whether to unpack a member of the wheel of torch: libraries, headers, versions and licences, but neither Python's
 * part nor tests, and without `gpu` nothing of what needs CUDA.
 */
export function isLibtorch(name: string, gpu: boolean): boolean {
  if (name === "torch/version.py" || name.startsWith("torch/include/")) return true;
  if (/^torch-[^/]+\.dist-info\/(licenses\/|METADATA$)/.test(name)) return true;
  if (!/^torch\/lib\/lib[^/]*\.so(\.\d+)*$/.test(name)) return false;
  return !NOT_NEEDED.test(name) && (gpu || !NEEDS_GPU.test(name));
}

/** Whether to unpack a member of one of NVIDIA's wheels: shared libraries and headers. */
export function isNvidia(name: string): boolean {
  return /^nvidia\/[^/]+\/(include\/|lib\/[^/]*\.so(\.\d+)*$)/.test(name);
}

/** The parts of CUDA that libtorch's CPU library is linked to. */
const FOR_CPU = /cuda-runtime|cuda-cupti/;

/**
 * The extras with what CUDA 13's headers include and PyTorch does not ask for, since it compiles nothing. In CUDA 12's
 * wheels these headers come with the compiler and with cccl.
 */
const HEADERS = "cccl,crt";

/**
 * NVIDIA's wheels that a wheel of torch asks for in its METADATA, as pip wants them: all with `gpu`, else the two that
 * a CUDA build cannot start without. None for a CPU build.
 */
export function nvidiaRequirements(metadata: string, gpu: boolean): string[] {
  const requirements: string[] = [];
  const [, minor] = /^Requires-Dist: nvidia-cuda-runtime-cu12\s*\(?==(12\.\d+)/m.exec(metadata) ?? [];
  if (gpu && minor !== undefined) {
    requirements.push(...["nvcc", "cccl"].map((part) => `nvidia-cuda-${part}-cu12==${minor}.*`));
  }
  for (const [, name, extras, version] of metadata.matchAll(REQUIREMENT)) {
    // PyTorch names the wheels one by one (CUDA 12), or as extras of cuda-toolkit (CUDA 13).
    if (name === "cuda-toolkit") {
      requirements.push(`${name}[${gpu ? `${extras},${HEADERS}` : "cudart,cupti"}]${version}`);
    } else if (gpu || FOR_CPU.test(name)) requirements.push(name + version);
  }
  return requirements;
}

const REQUIREMENT = /^Requires-Dist: (nvidia-[\w-]+|cuda-toolkit)(?:\[([\w,]+)\])?\s*\(?([^;\s()]*)/gm;
