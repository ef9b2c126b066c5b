"""How long a hop takes and how much memory it holds; what ``voxhop bench`` prints."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop._bindings import engine_version, ggml_version
from voxhop._machine import cache_bytes, cpu_name, machine_load
from voxhop.errors import ArgumentError, EngineError
from voxhop.models import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from voxhop.models import Model
    from voxhop.session import Session
    from voxhop.session_info import SessionInfo, SessionOptions

    Samples = npt.NDArray[np.float32]

CACHES: Final = ("hot", "l2-cold", "dram-cold")
_ROUND: Final = 50  # hops of one session in a row, so that contenders meet the same weather
_WARM_UP: Final = 5  # hops at the start of a round that refill the caches, not counted
_COLD_SHARE: Final = 5  # a cold hop costs an eviction, so there are this many times fewer
_DEFAULT_L2: Final = 2 << 20
_DEFAULT_L3: Final = 64 << 20


@dataclass(frozen=True)
class HopTiming:
    """Times of one hop under one state of the caches, in ms.

    Attributes
    ----------
    cache
        ``"hot"``: hops back to back. ``"l2-cold"``: as much as twice the L2 cache was read
        in between. ``"dram-cold"``: as much as twice the last-level cache.
    hops
        How many were timed.
    p50_ms, p99_ms, max_ms
        Wall time of the Python call.
    cpu_min_ms, cpu_p50_ms
        CPU time of the calling thread: what other programs on the machine disturb least.
    real_time_factor
        Median wall time over the length of a hop; below 1 keeps up.
    """

    cache: str
    hops: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_min_ms: float
    cpu_p50_ms: float
    real_time_factor: float


@dataclass(frozen=True)
class Contender:
    """One way of computing, and its times."""

    kernels: str
    isa: str
    precision: str
    threads: int
    node_count: int
    state_bytes: int
    scratch_bytes: int
    timings: tuple[HopTiming, ...]


@dataclass(frozen=True)
class Memory:
    """Resident memory that came with a model and with each session, in bytes.

    None where the system does not tell.
    """

    rss_model_bytes: int | None
    rss_session_bytes: int | None


@dataclass(frozen=True)
class BenchResult:
    """What `run` measured, and where; `load` is the system's load average at the start."""

    cpu: str
    load: float | None
    cores: int
    system: str
    engine: str
    ggml: str
    model: str
    hop_ms: float
    macs_per_hop: int
    memory: Memory
    contenders: tuple[Contender, ...]


def run(
    model_source: str | os.PathLike[str],
    options: Sequence[SessionOptions],
    *,
    hops: int = 500,
    caches: Sequence[str] = CACHES,
    progress: Callable[[float, float], None] = lambda _done, _total: None,
) -> BenchResult:
    """Time hops of real speech.

    Parameters
    ----------
    model_source
        What `voxhop.load` takes.
    options
        One session each; they take turns, so that their ratios hold on a busy machine.
    hops
        Hops timed per session with hot caches; a fifth of them with cold ones.
    caches
        Out of `CACHES`.
    progress
        Called with parts done and parts in all.

    Raises
    ------
    ArgumentError
        For options that cannot be, or too few hops for a 99th percentile.
    """
    if hops < 2 * _ROUND:
        raise ArgumentError(f"hops: {hops}, expected at least {2 * _ROUND}")
    unknown = [name for name in caches if name not in CACHES]
    if unknown or not caches or not options:
        raise ArgumentError(f"caches: {', '.join(caches) or 'none'}, expected {', '.join(CACHES)}")
    load_average = machine_load()
    with load(model_source) as model:
        sessions = _distinct([model.session(**vars(option)) for option in options])
        try:
            timings = _time_all(sessions, hops, caches, progress)
            contenders = tuple(
                _contender(session, times) for session, times in zip(sessions, timings, strict=True)
            )
        finally:
            for session in sessions:
                session.close()
        info = model.info
    memory = measure_memory(model_source, options[0])
    return BenchResult(
        cpu=cpu_name(),
        load=load_average,
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        engine=engine_version(),
        ggml=ggml_version(),
        model=info.name or str(model_source),
        hop_ms=_hop_ms(model),
        macs_per_hop=info.macs_per_hop,
        memory=memory,
        contenders=contenders,
    )


def measure_memory(model_source: str | os.PathLike[str], option: SessionOptions) -> Memory:
    """Return what a model and each session on it add to the memory of a fresh process."""
    command = [sys.executable, "-m", "voxhop._memory_probe"]
    arguments = [os.fspath(model_source), json.dumps(vars(option))]
    found = subprocess.run(  # noqa: S603 - our own module
        command + arguments, capture_output=True, text=True, check=False
    )
    if found.returncode:
        last = found.stderr.strip().splitlines()[-1:]
        raise EngineError(f"{model_source}: memory not measured: {' '.join(last)}")
    return Memory(*json.loads(found.stdout))


def speech(samples: int) -> tuple[Samples, Samples]:
    """Return microphone and reference of the demo call, repeated to `samples`."""
    from voxhop.io import AudioReader  # noqa: PLC0415 - soundfile is not needed to import this

    tracks = []
    for name in ("mic", "ref"):
        with AudioReader(Path(__file__).parent / "demo" / f"{name}.flac") as reader:
            tracks.append(np.resize(reader.read(reader.frames)[:, 0], samples))
    return tracks[0], tracks[1]


def _distinct(sessions: Sequence[Session]) -> list[Session]:
    """Return the sessions that run on different things; close the others."""
    kept: dict[SessionInfo, Session] = {}
    for session in sessions:
        if kept.setdefault(session.info, session) is not session:
            session.close()
    return list(kept.values())


def _time_all(
    sessions: Sequence[Session],
    hops: int,
    caches: Sequence[str],
    progress: Callable[[float, float], None],
) -> list[tuple[HopTiming, ...]]:
    hop = sessions[0].hop_length
    mic, ref = speech(hop * (hops + _ROUND))
    parts = [(cache, max(2 * _ROUND, hops // _cost(cache))) for cache in caches]
    timings: list[list[HopTiming]] = [[] for _ in sessions]
    total = float(sum(count for _, count in parts))
    done = 0.0
    for cache, count in parts:
        evict = _evictor(cache)
        walls: list[list[int]] = [[] for _ in sessions]
        cpus: list[list[int]] = [[] for _ in sessions]
        for start in range(0, count, _ROUND):
            stretch = slice(start * hop, (start + _ROUND + _WARM_UP) * hop)
            for session, wall, cpu in zip(sessions, walls, cpus, strict=True):
                _time_round(session, mic[stretch], ref[stretch], evict, (wall, cpu))
            done += _ROUND
            progress(min(done, total), total)
        for i, session in enumerate(sessions):
            timings[i].append(_timing(cache, walls[i], cpus[i], session))
    return [tuple(times) for times in timings]


def _time_round(
    session: Session,
    mic: Samples,
    ref: Samples,
    evict: Callable[[], None] | None,
    into: tuple[list[int], list[int]],
) -> None:
    """Process hop after hop; append wall and CPU nanoseconds, the warm-up left out."""
    hop = session.hop_length
    out = np.empty(hop, np.float32)
    wall, cpu = into
    for i in range(len(mic) // hop):
        part = slice(i * hop, (i + 1) * hop)
        if evict is not None:
            evict()
        cpu_start = time.thread_time_ns()
        start = time.perf_counter_ns()
        session.process_hop_into(mic[part], ref[part], out)
        wall_ns = time.perf_counter_ns() - start
        cpu_ns = time.thread_time_ns() - cpu_start
        if i >= _WARM_UP:
            wall.append(wall_ns)
            cpu.append(cpu_ns)


def _timing(cache: str, wall: list[int], cpu: list[int], session: Session) -> HopTiming:
    wall_ms = np.array(wall) / 1e6
    cpu_ms = np.array(cpu) / 1e6
    median = float(np.median(wall_ms))
    return HopTiming(
        cache=cache,
        hops=len(wall),
        p50_ms=median,
        p99_ms=float(np.percentile(wall_ms, 99)),
        max_ms=float(wall_ms.max()),
        cpu_min_ms=float(cpu_ms.min()),
        cpu_p50_ms=float(np.median(cpu_ms)),
        real_time_factor=median / _hop_ms(session.model),
    )


def _contender(session: Session, timings: tuple[HopTiming, ...]) -> Contender:
    info = session.info
    return Contender(
        kernels=info.kernels,
        isa=info.isa,
        precision=info.precision,
        threads=info.threads,
        node_count=info.node_count,
        state_bytes=info.state_bytes,
        scratch_bytes=info.scratch_bytes,
        timings=timings,
    )


def _hop_ms(model: Model) -> float:
    return 1000.0 * model.hop_length / model.sample_rate


def _cost(cache: str) -> int:
    return 1 if cache == "hot" else _COLD_SHARE


def _evictor(cache: str) -> Callable[[], None] | None:
    """Return what pushes the caches' content out between hops, or None."""
    if cache == "hot":
        return None
    level, default = ((2, _DEFAULT_L2), (3, _DEFAULT_L3))[cache == "dram-cold"]
    buffer = np.zeros(2 * (cache_bytes(level) or default) // 8)

    def evict() -> None:
        np.add(buffer, 1.0, out=buffer)

    return evict


def contenders_for(options: SessionOptions) -> list[SessionOptions]:
    """Return `options` and, unless they are it, the stock kernels to compare with."""
    if options.kernels == "stock":
        return [options]
    stock = replace(options, kernels="stock", isa="auto", precision="f32", history_first=False)
    return [options, stock]
