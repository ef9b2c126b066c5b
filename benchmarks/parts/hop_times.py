"""CPU time per hop of several sessions that take turns on one clip."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import voxhop

TURN_HOPS = 25


@dataclass(frozen=True)
class HopTime:
    """CPU time of the thread per hop in ms: what it needs, and what it took here."""

    min_ms: float
    median_ms: float


def hop_times(sessions: Sequence[voxhop.Session], mic: Any, ref: Any, turns: int) -> list[HopTime]:  # noqa: ANN401
    """Time all sessions in turns of 25 hops, so that they meet the same neighbours.

    `mic` and `ref` are ``(samples,)`` float32 and are run through round and round; `ref` may
    be None: zeros, for a model that takes one.
    """
    runs = [_stepper(session, mic, ref) for session in sessions]
    spent: list[list[float]] = [[] for _ in runs]
    for _ in range(turns):
        for run, times in zip(runs, spent, strict=True):
            start = time.thread_time_ns()
            run()
            times.append((time.thread_time_ns() - start) / TURN_HOPS / 1e6)
    return [HopTime(min(times), statistics.median(times)) for times in spent]


def _stepper(session: voxhop.Session, mic: Any, ref: Any) -> Callable[[], None]:  # noqa: ANN401
    """Return a function that pushes the next 25 hops of a clip, round and round."""
    hop = session.hop_length
    count = len(mic) // hop
    mics = mic[: count * hop].reshape(count, hop)
    takes_ref = any(port.name == "ref" for port in session.inputs)
    refs = np.zeros_like(mics) if ref is None else ref[: count * hop].reshape(count, hop)
    out = np.empty(hop, np.float32)
    place = 0

    def run() -> None:
        nonlocal place
        for _ in range(TURN_HOPS):
            session.process_hop_into(mics[place], refs[place] if takes_ref else None, out)
            place = (place + 1) % count

    return run
