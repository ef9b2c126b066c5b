"""After the first second, no call of a stream or chain allocates memory or takes a lock."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import voxhop

HERE = Path(__file__).parent
INTERPOSE = HERE.parent / "core" / "interpose.c"

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or shutil.which("cc") is None,
    reason="the allocation counter needs glibc and a C compiler",
)


@pytest.fixture(scope="module")
def preload(tmp_path_factory):
    library = tmp_path_factory.mktemp("interpose") / "interpose.so"
    command = ["cc", "-O2", "-shared", "-fPIC", str(INTERPOSE), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True)
    return library


def counted(preload, script, *arguments):
    """Return what a script counts in a process of its own."""
    paths = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *sys.path]))
    done = subprocess.run(
        [sys.executable, HERE / script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths, "LD_PRELOAD": str(preload)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("frames", "calls", "kind"),
    [(480, 100, "sound"), (37, 400, "sound"), (4800, 10, "sound"), (960, 100, "lost")],
)
def test_calls_allocate_nothing(preload, frames, calls, kind):
    with voxhop.load() as model, model.session() as session:
        if session.info.kernels != "fused":
            pytest.skip("ggml's own graph allocates twice a hop: tests/core/test_memory.py")
    found = counted(preload, "count_allocations.py", frames, calls, kind)
    assert found["code"] == 0
    assert found["lost_frames"] == (frames * calls if kind == "lost" else 0)
    assert found["hops"] > 70  # a second of warm-up, and then some
    assert found["allocations"] == 0
    assert found["locks"] == 0


@pytest.mark.parametrize(("frames", "calls"), [(480, 60), (4800, 6)])
def test_blocks_through_a_chain_allocate_nothing(preload, frames, calls):
    codec = HERE.parent / "golden" / "sublime-random" / "model-f32.gguf"
    found = counted(preload, "count_chain_allocations.py", frames, calls, codec)
    if found.pop("stock"):
        pytest.skip("ggml's own graph allocates twice a hop: tests/core/test_memory.py")
    assert found.pop("lost_packets") > 0
    assert found == {"code": 0, "failed_hops": 0, "allocations": 0, "locks": 0}


def test_changing_to_a_network_that_was_built_ahead_allocates_nothing(preload):
    model = HERE.parent / "golden" / "seflow-random" / "model-f32.gguf"
    found = counted(preload, "count_switch_allocations.py", model, 20)
    assert found == {"code": 0, "allocations": 0, "locks": 0}
