"""What ``import voxhop`` costs and brings along."""

import json
import subprocess
import sys

import voxhop

HEAVY = ("torch", "soundfile", "soxr", "matplotlib", "scipy", "urllib.request", "asyncio")


def fresh(code):
    """Return the last line that `code` prints in a fresh interpreter, as JSON."""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(found.stdout.splitlines()[-1])


def test_import_waits_with_arrays_and_engine():
    code = (
        "import json, sys, voxhop;"
        "print(json.dumps([m for m in ('numpy', 'cffi', 'dataclasses') if m in sys.modules]))"
    )
    assert fresh(code) == []


def test_names_are_listed_before_they_are_used():
    code = "import json, voxhop; print(json.dumps(sorted(set(voxhop.__all__) - {*dir(voxhop)})))"
    assert fresh(code) == []


def test_session_brings_numpy_and_cffi_and_nothing_else():
    code = (
        "import json, sys, numpy, cffi, _cffi_backend; before = set(sys.modules);"
        "import voxhop; voxhop.Session, voxhop.Stream, voxhop.load;"
        "new = set(sys.modules) - before;"
        "own = {'voxhop', *sys.stdlib_module_names};"
        "print(json.dumps(sorted(m for m in new if m.partition('.')[0] not in own)))"
    )
    assert fresh(code) == []


def test_import_leaves_heavy_modules_out():
    code = (
        "import json, sys, voxhop; voxhop.Stream;"
        f"print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    )
    assert fresh(code) == []


def test_own_share_of_the_import_time_is_small():
    # CPU time, so that a busy machine does not count; measured: 15 ms beyond numpy and cffi.
    code = (
        "import json, time, numpy, cffi, _cffi_backend; t = time.process_time();"
        "import voxhop; voxhop.Session, voxhop.Stream, voxhop.load;"
        "print(json.dumps(time.process_time() - t))"
    )
    assert min(fresh(code) for _ in range(3)) < 0.1


def test_public_names_exist_and_are_documented():
    for name in voxhop.__all__:
        value = getattr(voxhop, name)
        assert isinstance(value, str) or value.__doc__, name


def test_versions_agree():
    assert voxhop.engine_version() == voxhop.__version__
