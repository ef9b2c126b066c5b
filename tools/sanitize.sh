#!/usr/bin/env bash
# Builds voxhop under sanitizers and runs what they can find something in. Linux and GCC.
#   tools/sanitize.sh address [pytest arguments]  AddressSanitizer and UBSan: the C++ test
#                                                 programs, then the test suite
#   tools/sanitize.sh thread                      ThreadSanitizer: the pool, the threaded modes
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-}
shift || true

build() { # sanitizers
  cmake -S . -B "build/$mode" -DVOXHOP_SANITIZE="$1" -DVOXHOP_BUILD_TESTS=ON \
    -DCMAKE_BUILD_TYPE=Release
  cmake --build "build/$mode" -j"$(nproc)"
}

case $mode in
thread)
  build thread
  TSAN_OPTIONS=halt_on_error=1 ctest --test-dir build/thread --output-on-failure \
    -R 'pool|threaded_modes'
  ;;
address)
  build address,undefined
  export UBSAN_OPTIONS=print_stacktrace=1
  ctest --test-dir build/address --output-on-failure

  venv=${VOXHOP_TEST_VENV:-.venv-test}
  if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      -c tests/constraints.txt ".[test]"
  fi
  # A package of its own, found before the installed one.
  site=$PWD/build/address/site
  rm -rf "$site" && mkdir -p "$site"
  cp -r src/voxhop "$site/"
  cmake --install build/address --prefix "$site/voxhop" >/dev/null
  cp build/address/_voxhop_cffi.py "$site/voxhop/"
  # Python is not built with sanitizers, so their libraries come first, and the C++ runtime,
  # whose exceptions they watch. Python's own leaks are not ours: the programs above are
  # watched for leaks.
  preload=
  for library in libasan.so libubsan.so libstdc++.so; do
    preload+=$(${CC:-cc} -print-file-name=$library):
  done
  # Left out, because they cannot work here: tests that preload an allocator or limit the
  # address space (core, no_allocation), that filter system calls, that build for themselves.
  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 PYTHONPATH=$site \
    LD_PRELOAD=${preload%:} "$venv/bin/python" -m pytest -m "not torch" \
    --ignore=tests/evaluation --ignore=tests/training --ignore=tests/core \
    --ignore=tests/stream/test_no_allocation.py --ignore=tests/packaging \
    --ignore=tests/kernels/test_no_syscalls.py --ignore=tests/kernels/test_kernel_programs.py "$@"
  ;;
*)
  sed -n '2,6s/^# \{0,1\}//p' "$0"
  exit 2
  ;;
esac
