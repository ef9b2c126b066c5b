#!/usr/bin/env bash
# Formatting, lint and types of the Python and C++ code, in an environment of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${VOXHOP_LINT_VENV:-.venv-lint}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  ruff==0.17.* mypy==2.4.* clang-format==23.* numpy cffi types-cffi
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
git ls-files 'csrc/*.cpp' 'csrc/*.h' 'benchmarks/programs/*.cpp' 'tests/*.cpp' 'tests/*.c' |
  xargs -r "$venv/bin/clang-format" --dry-run --Werror
