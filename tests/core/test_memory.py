"""Memory: nothing is allocated per hop, and running out of it is an error, not a crash."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gguf_bytes import tiny_localvqe
from streams import GOLDEN
from voxhop._bindings import native
from voxhop.models import find_model

HERE = Path(__file__).parent
MODEL = GOLDEN / "model-f32.gguf"
CANCELLER = find_model("voxhop-localvqe-1.3M-canceller")
# What ggml itself does per graph: it initialises its CPU part again (two small
# allocations, its process-wide lock) and takes the thread pool's mutex. A graph of custom
# ops alone does not enter ggml. See docs/numerics.md.
PER_HOP = {
    "stock": {"allocations": 2, "locks": 3},
    "fused": {"allocations": 0, "locks": 0},
}

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or shutil.which("cc") is None,
    reason="the allocation counter needs glibc and a C compiler",
)


@pytest.fixture(scope="module")
def preload(tmp_path_factory):
    library = tmp_path_factory.mktemp("interpose") / "interpose.so"
    command = ["cc", "-O2", "-shared", "-fPIC", HERE / "interpose.c", "-o", library, "-ldl"]
    subprocess.run([str(part) for part in command], check=True)
    return library


def measure(*arguments, preload=None):
    """Run measure_memory.py in a process of its own; a crash is a failure here."""
    paths = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *sys.path]))
    environment = {**os.environ, "PYTHONPATH": paths}
    if preload is not None:
        environment["LD_PRELOAD"] = str(preload)
    done = subprocess.run(
        [sys.executable, str(HERE / "measure_memory.py"), *map(str, arguments)],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr[-2000:]}"
    return json.loads(done.stdout)


@pytest.mark.parametrize("streams", [0, 3])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "options",
    [{"kernels": "stock"}, {}, {"history_first": True}, {"precision": "int8"}],
    ids=["stock", "fused", "history-first", "int8"],
)
def test_a_hop_allocates_and_locks_only_what_ggml_does(preload, options, threads, streams):
    hops = 20
    options = {"threads": threads, **options}
    found = measure("hops", MODEL, json.dumps(options), streams, hops, preload=preload)
    assert found["code"] == native().lib.VH_OK
    limit = PER_HOP["stock" if "kernels" in options else "fused"]
    rounds = hops * max(1, streams)
    assert found["allocations"] == limit["allocations"] * rounds
    if threads == 1:  # or the caller's own locks depend on who slept
        assert found["locks"] == limit["locks"] * rounds


def test_a_skimmed_hop_allocates_and_locks_nothing(preload):
    found = measure("skims", CANCELLER, 20, preload=preload)
    assert found == {"code": native().lib.VH_OK, "allocations": 0, "locks": 0}


@pytest.mark.parametrize("precision", ["f32", "f16", "bf16", "int8"])
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_frame_of_a_codec_allocates_and_locks_nothing(preload, part, precision):
    codec = GOLDEN.parent / "sublime-random" / "model-f32.gguf"
    options = json.dumps({"part": part, "precision": precision})
    found = measure("ports", codec, options, 20, preload=preload)
    assert found == {"code": native().lib.VH_OK, "allocations": 0, "locks": 0}


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_a_hop_of_a_restorer_allocates_and_locks_nothing(preload, precision):
    restorer = GOLDEN.parent / "streamfm-random" / "model-f32.gguf"
    found = measure("ports", restorer, json.dumps({"precision": precision}), 20, preload=preload)
    assert found == {"code": native().lib.VH_OK, "allocations": 0, "locks": 0}


def test_every_failing_allocation_of_opening_a_model_is_an_error(preload, tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny_localvqe().encode())
    codes = measure("model", path, preload=preload)["codes"]
    assert codes.pop() == native().lib.VH_OK
    assert len(codes) > 100  # the failure did travel through the loader
    assert set(codes) == {native().lib.VH_E_MEMORY}


@pytest.mark.parametrize("spare_mb", [1, 7, 9, 30])
def test_sessions_until_memory_is_full(spare_mb):
    found = measure("session", MODEL, spare_mb * 1_000_000)
    assert found["code"] == native().lib.VH_E_MEMORY
    assert "memory" in found["message"]


@pytest.mark.parametrize("kernels", ["stock", "fused"])
def test_threads_that_cannot_start_are_an_error(kernels):
    found = measure("threads", MODEL, kernels)
    assert found["code"] == native().lib.VH_E_MEMORY
    assert "n_threads" in found["message"]
