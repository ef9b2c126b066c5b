#!/usr/bin/env bash
# Builds voxhop for 64-bit Arm and runs the golden check and the kernel tests under
# qemu-user. Needs: apt-get install g++-aarch64-linux-gnu qemu-user-static
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/aarch64}
golden=tests/golden/localvqe-v1.1-random
cmake -S . -B "$build" -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/aarch64-linux-gnu.cmake" \
  -DCMAKE_INSTALL_PREFIX="$PWD/$build/prefix" -DVOXHOP_BUILD_TESTS=ON
cmake --build "$build" -j"$(nproc)"
cmake --install "$build"
cmake -S tests/c -B "$build/consumer" -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/aarch64-linux-gnu.cmake" \
  -DCMAKE_PREFIX_PATH="$PWD/$build/prefix"
cmake --build "$build/consumer"
for kernels in stock fused; do
  echo "golden check, $kernels (largest absolute error, relative RMS):"
  qemu-aarch64-static -L /usr/aarch64-linux-gnu "$build/consumer/golden_check" "$kernels" auto \
    "$golden"/model-f32.gguf "$golden"/synth.mic.f32 "$golden"/synth.ref.f32 "$golden"/synth.pt64.f64
done
ctest --test-dir "$build" --output-on-failure
