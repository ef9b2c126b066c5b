"""Threads of sessions and groups while every core is busy: late, but never stalled."""

import os
import runpy
import time
from pathlib import Path

import numpy as np
import pytest

import tolerances
import voxhop

HOP, HOPS = 256, 400
BENCH = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_busy.py"))


@pytest.fixture(scope="module")
def busy():
    with BENCH["busy_cores"](2 * (os.cpu_count() or 1)):
        time.sleep(0.3)  # until they run
        yield


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("history_first", [False, True])
def test_hops_of_two_threads_never_stall(model, history_first):
    """Back to back and at a live pace: workers that spin, and workers that sleep."""
    options = {"threads": 2, "history_first": history_first}
    with model.session(**options) as session, model.session(**options) as live:
        together = BENCH["measure"]([session], HOPS, 0.0)
        paced = BENCH["measure"]([live], HOPS // 4, 4.0)
    assert max(together.max(), paced.max()) < tolerances.BUSY_HOP_MS


@pytest.mark.usefixtures("busy")
def test_two_threads_are_hardly_slower_than_one(model):
    """A worker whose waking takes the caller's core is left asleep."""
    with model.session() as one, model.session(threads=2) as two:
        times = BENCH["measure"]([one, two], HOPS // 2, 6.0)
    alone, together = np.median(times[:, HOPS // 4 :], axis=1)
    assert together < tolerances.BUSY_THREADS_SHARE * alone


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("history_first", [False, True])
def test_rounds_of_a_group_never_stall(model, history_first):
    mic = np.zeros((6, HOP), np.float32)
    worst = 0.0
    with voxhop.SessionGroup(model, 6, threads=2, history_first=history_first) as group:
        for _ in range(HOPS // 6):
            start = time.perf_counter()
            group.prepare()
            group.process(mic, mic)
            worst = max(worst, 1e3 * (time.perf_counter() - start))
    assert worst < tolerances.BUSY_HOP_MS
