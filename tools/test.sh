#!/usr/bin/env bash
# Installs voxhop and everything its tests need into a virtual environment of its own
# and runs the tests. Arguments go to pytest:  tools/test.sh -k golden
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${VOXHOP_TEST_VENV:-.venv-test}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  -c tests/constraints.txt ".[test,train,eval,docs]"
exec "$venv/bin/python" -m pytest "$@"
