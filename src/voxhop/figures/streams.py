"""How many streams a core serves; what ``voxhop bench --streams`` prints."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop.engine.group import SessionGroup
from voxhop.errors import ArgumentError
from voxhop.figures.hop_timing import speech
from voxhop.figures.machine import cpu_name, machine_load
from voxhop.models import load

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from voxhop.engine.session_info import SessionOptions

_LEAST_ROUNDS: Final = 100
_WARM_UP: Final = 5  # rounds that fill caches and pages, not counted


@dataclass(frozen=True)
class StreamsResult:
    """Times of a round, which is one hop of every stream.

    Attributes
    ----------
    cpu, load
        The CPU, and the system's load average at the start.
    kernels, isa, precision, threads, state_bytes
        What the group runs on, and the memory of one stream.
    streams, rounds
        Streams in the group, and rounds timed.
    p50_ms, p99_ms, max_ms
        Wall time of a round.
    cpu_min_ms, cpu_p50_ms
        CPU time of a round, all threads together.
    late_rounds
        Rounds that took longer than a hop lasts: a live system would have dropped out.
    streams_per_core
        Streams that fill one core, by the least CPU time: the limit of a core that does
        nothing else.
    streams_per_core_p99
        Streams per thread for which 99 % of the rounds would be in time, by the wall time
        of this run with whatever else ran.
    """

    cpu: str
    load: float | None
    kernels: str
    isa: str
    precision: str
    threads: int
    state_bytes: int
    streams: int
    rounds: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_min_ms: float
    cpu_p50_ms: float
    late_rounds: int
    streams_per_core: float
    streams_per_core_p99: float


def run_streams(
    model_source: str | os.PathLike[str],
    streams: int,
    options: SessionOptions,
    *,
    values: Mapping[str, int | str] = MappingProxyType({}),
    rounds: int = 500,
    progress: Callable[[float, float], None] = lambda _done, _total: None,
) -> StreamsResult:
    """Time rounds of a `SessionGroup` on real speech, every stream at another place of it.

    Parameters
    ----------
    model_source
        What `voxhop.load` takes.
    streams
        Streams in the group.
    options
        How it computes. With ``history_first`` every round is prepared: wall times are
        those of the rest, CPU times of both.
    values
        The model's own options.
    rounds
        Rounds to time, at least 100.
    progress
        Called with rounds done and rounds in all.

    Raises
    ------
    ArgumentError
        For options that cannot be, or too few rounds for a 99th percentile.
    """
    if rounds < _LEAST_ROUNDS:
        raise ArgumentError(f"hops: {rounds}, expected at least {_LEAST_ROUNDS}")
    load_average = machine_load()
    with (
        load(model_source) as model,
        SessionGroup(model, streams, **(vars(options) | dict(values))) as group,
    ):
        takes_ref = model.info.input_count > 1
        wall, cpu = _time_rounds(group, rounds, progress, takes_ref=takes_ref)
        info = group.info
        hop_ms = 1000.0 * group.hop_length / group.sample_rate
    p99 = float(np.percentile(wall, 99))
    return StreamsResult(
        cpu=cpu_name(),
        load=load_average,
        kernels=info.kernels,
        isa=info.isa,
        precision=info.precision,
        threads=info.threads,
        state_bytes=info.state_bytes,
        streams=streams,
        rounds=rounds,
        p50_ms=float(np.median(wall)),
        p99_ms=p99,
        max_ms=float(wall.max()),
        cpu_min_ms=float(cpu.min()),
        cpu_p50_ms=float(np.median(cpu)),
        late_rounds=int(np.count_nonzero(wall > hop_ms)),
        streams_per_core=streams * hop_ms / float(cpu.min()),
        streams_per_core_p99=streams * hop_ms / p99 / info.threads,
    )


def _time_rounds(
    group: SessionGroup,
    rounds: int,
    progress: Callable[[float, float], None],
    *,
    takes_ref: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return wall and CPU time of each round in ms."""
    hop, streams = group.hop_length, group.streams
    mic, ref = (
        np.stack([np.roll(track, -hop * 7 * i) for i in range(streams)])
        for track in speech(hop * (rounds + _WARM_UP))
    )
    out = np.empty((streams, hop), np.float32)
    times = np.empty((2, rounds))
    for i in range(rounds + _WARM_UP):
        part = slice(i * hop, (i + 1) * hop)
        heard = np.ascontiguousarray(mic[:, part])
        played = np.ascontiguousarray(ref[:, part]) if takes_ref else None
        cpu = time.process_time_ns()
        group.prepare()
        wall = time.perf_counter_ns()
        group.process(heard, played, out=out)
        wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
        if i >= _WARM_UP:
            times[:, i - _WARM_UP] = wall / 1e6, cpu / 1e6
            progress(float(i - _WARM_UP + 1), float(rounds))
    return times[0], times[1]
