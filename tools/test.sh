#!/usr/bin/env bash
# Installs voxhop and everything its tests need into virtual environments of their own and runs
# the tests. The programs that voxhop is plugged into (pipecat, LiveKit agents, Ray, PyInstaller, a
# recogniser) want versions of their own, so they have an environment of their own: $venv-hosts.
# Arguments go to pytest, and leave that one out:  tools/test.sh -k golden
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${VOXHOP_TEST_VENV:-.venv-test}
hosts=$venv-hosts

install() {  # install ENVIRONMENT EXTRAS: the wheel, and what its tests need
  [ -x "$1/bin/python" ] || python3 -m venv "$1"
  pip=("$1/bin/python" -m pip --quiet --disable-pip-version-check)
  [ -n "${wheel:-}" ] || {
    rm -rf "$1/wheel"
    "${pip[@]}" wheel --no-deps -w "$1/wheel" .
    wheel=$(echo "$1"/wheel/*.whl)
  }
  "${pip[@]}" install -c tests/constraints.txt "$wheel[$2]"
  "${pip[@]}" install --force-reinstall --no-deps "$wheel"
}

install "$venv" test,train,eval,docs
[ $# -eq 0 ] || exec "$venv/bin/python" -m pytest "$@"
"$venv/bin/python" -m pytest
install "$hosts" test-hosts
"$hosts/bin/python" -m pytest tests/adapters tests/batching/test_ray.py \
  tests/docs/test_how_to.py tests/packaging/test_freezing.py tests/packaging/test_typing.py \
  tests/python/test_pickle.py
