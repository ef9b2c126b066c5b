"""The same batch on a Ray cluster of this machine, with an actor that is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import voxhop
from recordings import MODEL, hashes, rows, write_pair
from voxhop.batching.manifest import MANIFEST_NAME

PAIR = {"pair": "_mic=_ref", "model": MODEL}
FILES = 24


def test_a_missing_ray_is_named(calls, tmp_path):
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "import voxhop\n"
        f"voxhop.batch({str(calls)!r}, {str(tmp_path / 'out')!r}, ray=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'Ray is missing: pip install "voxhop[ray]"' in done.stderr


@pytest.fixture(scope="module")
def ray():
    """Return Ray, connected to a cluster of two cores that lives as long as these tests."""
    ray = pytest.importorskip("ray", reason='needs pip install "voxhop[ray]"')
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("needs /proc")
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    yield ray
    ray.shutdown()


def actors():
    """Return the process ids of this machine's Ray Data actors."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::MapWorker" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:  # noqa: PERF203 - processes come and go
            continue
    return found


@pytest.mark.usefixtures("ray")
def test_the_results_are_those_of_the_local_pool(calls, tmp_path):
    (calls / "bad_mic.wav").write_bytes(b"no sound")
    (calls / "bad_ref.wav").write_bytes(b"no sound")
    local = voxhop.batch(calls, tmp_path / "local", **PAIR)
    report = voxhop.batch(calls, tmp_path / "out", ray=True, **PAIR)
    assert (report.done, report.failed) == (3, local.failed)
    assert hashes(tmp_path / "out") == hashes(tmp_path / "local")
    again = voxhop.batch(calls, tmp_path / "out", ray=True, workers=1, **PAIR)
    assert (again.already_done, again.done, again.failed) == (3, 0, local.failed)


@pytest.mark.usefixtures("ray")
def test_a_killed_actor_costs_nothing(tmp_path):
    calls, out = tmp_path / "calls", tmp_path / "out"
    for i in range(FILES):
        write_pair(calls, f"{i:02}", i, seconds=0.5)
    voxhop.batch(calls, tmp_path / "local", **PAIR)
    killed = []

    def kill_one(_done, _total):
        if not killed and (out / MANIFEST_NAME).read_bytes().count(b"\n") > 4:
            killed.extend(actors()[:1])
            os.kill(killed[0], signal.SIGKILL)
            (out / ".00_mic.wav.0123abcd.part").touch()  # what it may have been at

    report = voxhop.batch(calls, out, ray=True, progress=kill_one, **PAIR)
    assert killed
    assert (report.done, report.failed) == (FILES, ())
    assert hashes(out) == hashes(tmp_path / "local")
    assert sorted(row["file"] for row in rows(out)) == sorted(hashes(out))
