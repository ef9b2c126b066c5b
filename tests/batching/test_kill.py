"""A batch that is killed at random moments goes on to the same results."""

import os
import pickle
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from recordings import MODEL, hashes, rows, voxhop_command, write_pair
from voxhop.batching import pool
from voxhop.batching.manifest import MANIFEST_NAME

FILES = int(os.environ.get("VOXHOP_BATCH_FILES", "60"))
KILLS = 5

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")


def start(source, out):
    command = voxhop_command("batch", source, "-o", out, "--pair", "_mic=_ref")
    command += ["--model", MODEL, "--workers", "2"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found


def gone(pid):
    """Return whether a process has ended; one that nobody has waited for has, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.002)


def lines(out):
    path = out / MANIFEST_NAME
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Return a folder of pairs, and the hashes of what an undisturbed batch makes of it."""
    folder = tmp_path_factory.mktemp("archive")
    for i in range(FILES):
        write_pair(folder / "calls" / str(i % 3), f"{i:03}", i, seconds=0.1 + 0.05 * (i % 5))
    assert start(folder / "calls", folder / "calm").wait() == 0
    return folder / "calls", hashes(folder / "calm")


def test_killed_at_random_moments_it_ends_with_the_same_files(archive, tmp_path):
    source, expected = archive
    out = tmp_path / "out"
    chance = random.Random(os.environ.get("VOXHOP_BATCH_SEED", "1"))
    assert len(expected) == FILES
    killed = 0
    for _ in range(KILLS):
        process = start(source, out)
        until = lines(out) + chance.randrange(1, FILES // KILLS)
        wait_for(lambda until=until, p=process: lines(out) >= until or p.poll() is not None)
        time.sleep(chance.uniform(0, 0.05))
        workers = children(process.pid)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        wait_for(lambda w=workers: all(gone(pid) for pid in w))
        # Every file that has its name is whole and the same.
        found = hashes(out)
        assert {n: h for n, h in found.items() if not n.endswith(".part")}.items() <= (
            expected.items()
        )
    assert killed == KILLS
    process = start(source, out)
    assert process.wait() == 0, process.stderr.read()
    assert hashes(out) == expected  # which also says that nothing is left over
    assert {row["file"] for row in rows(out) if row["status"] == "done"} == set(expected)


def test_a_killed_worker_is_replaced(archive, tmp_path):
    source, expected = archive
    out = tmp_path / "out"
    process = start(source, out)
    wait_for(lambda: lines(out) > 3)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    assert process.wait() == 0, process.stderr.read()
    assert hashes(out) == expected


def test_a_worker_that_is_killed_while_it_starts_is_started_again(monkeypatch):
    asked = pool.Worker._ask
    killed = []

    def ask(self, message):
        if not killed:
            killed.append(self._process.pid)
            self._process.kill()
            self._process.wait()
        asked(self, message)

    monkeypatch.setattr(pool.Worker, "_ask", ask)
    worker = pool.Worker(pickle.dumps(None))
    assert worker._process.pid != killed[0]
    worker.end()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_batch_leaves_nothing_half(archive, tmp_path, how):
    source, expected = archive
    out = tmp_path / "out"
    process = start(source, out)
    wait_for(lambda: lines(out) > 3)
    workers = children(process.pid)
    process.send_signal(how)
    said = process.stderr.read().decode()
    assert process.wait() == {signal.SIGINT: 130, signal.SIGTERM: 143}[how]
    assert ("the same command goes on from here" in said) == (how == signal.SIGINT)
    assert "Traceback" not in said
    assert all(gone(pid) for pid in workers)
    assert hashes(out).items() < expected.items()  # no partial file either
    done = lines(out)
    assert start(source, out).wait() == 0
    assert hashes(out) == expected
    assert lines(out) <= FILES + 1
    assert done > 3
