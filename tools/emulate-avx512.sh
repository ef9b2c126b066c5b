#!/usr/bin/env bash
# Runs the kernel tests and a whole model in every precision on an emulated CPU with
# AVX-512, VNNI, AVX512_BF16 and AMX, for machines that lack them. For correctness: times
# mean nothing there.
#
# tools/emulate-avx512.sh [BUILD [HOPS]]     BUILD: a folder (build/emulated);
#                                            HOPS: of the model (8)
#
# Needs what tools/bochs/build.sh and tools/bochs/run.sh need, and cmake.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(mkdir -p "${1:-build/emulated}" && cd "${1:-build/emulated}" && pwd)
hops=${2:-8}
golden=tests/golden/localvqe-v1.1-random
tools/bochs/build.sh "$build/bochs"

cmake -S . -B "$build/voxhop" -DCMAKE_INSTALL_PREFIX="$build/prefix"
cmake --build "$build/voxhop" -j"$(nproc)"
cmake --install "$build/voxhop"
cmake -S tests/kernels -B "$build/kernels"
cmake --build "$build/kernels" -j"$(nproc)" --target kernel_test
for check in isa_check tiles_refused; do
  cc -O1 -std=c99 -Wall -Wextra -I"$build/prefix/include" "tests/kernels/$check.c" \
    -L"$build/prefix/lib" -l:libvoxhop.so -Wl,-rpath,/lib -o "$build/$check"
done

root=$build/root
rm -rf "$root"
mkdir -p "$root/lib" "$root/lib64"
cp "$build/kernels/kernel_test" "$build/isa_check" "$build/tiles_refused" "$root/"
cp "$golden/model-f32.gguf" "$golden"/synth.mic.f32 "$golden"/synth.ref.f32 \
  "$golden"/synth.pt64.f64 "$root/"
LD_LIBRARY_PATH=$build/prefix/lib ldd "$root/kernel_test" "$root/isa_check" |
  sed -n -E 's/.*[ \t](\/[^ ]+) \(0x.*/\1/p' | sort -u | xargs cp -L -t "$root/lib"
cp "$root"/lib/ld-linux* "$root/lib64/"
tools/bochs/run.sh "$build/bochs" "$root" \
  "/tiles_refused model-f32.gguf && /kernel_test &&
   /isa_check model-f32.gguf synth.mic.f32 synth.ref.f32 synth.pt64.f64 $hops"
