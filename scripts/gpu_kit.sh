#!/bin/sh
# Packs what gpu_check.sh needs on a machine without Deno and without network: Deno, and the npm packages that the lock
# file names, without the libraries of other systems. Run it on Linux on x86-64, where `deno task setup` or a test has run.
# Writes build/gpu_kit.tar.xz, about 40 MB.
set -eu
cd "$(dirname "$0")/.."
kit=build/gpu_kit
rm -rf "$kit" && mkdir -p "$kit"
cp "$(readlink -f "$(command -v deno)")" "$kit/deno"
cp -a node_modules "$kit/node_modules"
# Deno wants to see each package, but nobody here loads these.
find "$kit"/node_modules/.deno/*linuxmusl* -name "*.so*" -delete -o -name "*.node" -delete
# What the registry has said of them, or Deno would ask it again, and say so.
mkdir "$kit/cache"
deno_dir=$(NO_COLOR=1 deno info | sed -n 's/^DENO_DIR location: //p')
(cd "$deno_dir" && find npm -name registry.json -print0 | tar -c --null -T -) | tar -C "$kit/cache" -x
tar -C build -c gpu_kit | xz -6 -T0 >"$kit.tar.xz"
rm -rf "$kit"
ls -l "$kit.tar.xz"
