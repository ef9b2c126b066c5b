#!/usr/bin/env bash
# Builds voxhop under sanitizers and runs what they can find something in.
#   tools/sanitize.sh address [pytest arguments]  AddressSanitizer and UBSan: the C++ test
#                                                 programs, then the test suite
#   tools/sanitize.sh thread                      ThreadSanitizer: the pool and the threaded modes
# Linux and GCC. Slow: half an hour on two idle cores.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-}
shift || true

programs() { # sanitizers, build folder
  cmake -S . -B "$2" -DVOXHOP_SANITIZE="$1" -DVOXHOP_BUILD_TESTS=ON -DCMAKE_BUILD_TYPE=Release
  cmake --build "$2" -j"$(nproc)"
}

case $mode in
thread)
  programs thread build/thread
  # ggml orders its threads by fences, which this sanitizer does not see; ours are held to all.
  TSAN_OPTIONS=halt_on_error=1 ctest --test-dir build/thread --output-on-failure -R 'pool|threaded_modes'
  ;;
address)
  sanitizers=address,undefined
  programs "$sanitizers" build/address
  UBSAN_OPTIONS=print_stacktrace=1 ctest --test-dir build/address --output-on-failure
  venv=${VOXHOP_SANITIZE_VENV:-.venv-sanitize}
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c tests/constraints.txt \
    -C cmake.define.VOXHOP_SANITIZE="$sanitizers" -C build-dir=build/address-wheel \
    -C install.strip=false ".[test]"
  # Python itself is not built with them, so their libraries come first; its own leaks are
  # not ours (the programs above are watched for leaks). libstdc++ is there for exceptions.
  preload=
  for library in libasan.so libubsan.so libstdc++.so; do
    preload+=$(${CC:-cc} -print-file-name=$library):
  done
  export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
  # Not meaningful here: other preloads and limits on the address space (core), rates and
  # builds of their own (kernel programs), a system-call filter that the sanitizer breaks.
  LD_PRELOAD=${preload%:} "$venv/bin/python" -m pytest -m "not torch" \
    --ignore=tests/evaluation --ignore=tests/training --ignore=tests/core \
    --ignore=tests/kernels/test_kernel_programs.py --ignore=tests/kernels/test_no_syscalls.py \
    --ignore=tests/stream/test_no_allocation.py "$@"
  ;;
*)
  sed -n '2,6s/^# \{0,1\}//p' "$0"
  exit 2
  ;;
esac
