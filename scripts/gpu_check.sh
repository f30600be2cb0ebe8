#!/bin/sh
# gpu_check.ts for a machine that has a GPU, Python with PyTorch, a C++ compiler and the headers of CUDA, but perhaps neither
# Deno nor network: those come from build/gpu_kit.tar.xz, which gpu_kit.sh has packed elsewhere. Arguments are gpu_check.ts's.
set -eu
cd "$(dirname "$0")/.."
kit=build/gpu_kit
if ! command -v deno >/dev/null; then
  [ -x "$kit/deno" ] || "${PYTHON:-python3}" -m tarfile -e "$kit.tar.xz" build
  chmod +x "$kit/deno"
  [ -d node_modules ] || cp -a "$kit/node_modules" node_modules
  PATH="$PWD/$kit:$PATH"
  DENO_DIR="$PWD/$kit/cache"
  export PATH DENO_DIR
fi
# A toolkit need not be in /usr/local/cuda.
if [ -z "${CUDA_HOME:-}" ] && [ ! -d /usr/local/cuda ] && command -v nvcc >/dev/null; then
  CUDA_HOME=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
  export CUDA_HOME
fi
exec deno run -A --no-check scripts/gpu_check.ts "$@"
