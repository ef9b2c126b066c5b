"""How long a hop takes and how much memory it holds; what ``voxhop bench`` prints."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from voxhop._bindings import engine_version, ggml_version
from voxhop.engine.session_info import SessionOptions
from voxhop.errors import ArgumentError, EngineError
from voxhop.figures.hop_timing import CACHES, LEAST_HOPS, HopTiming, hop_ms, time_all
from voxhop.figures.machine import cpu_name, machine_load
from voxhop.models import load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from voxhop.engine.session import Session
    from voxhop.engine.session_info import SessionInfo


__all__ = [
    "CACHES", "BenchResult", "Contender", "HopTiming", "Memory", "contenders_for",
    "measure_memory", "run",
]  # fmt: skip


@dataclass(frozen=True)
class Contender:
    """One way of computing, and its times."""

    kernels: str
    isa: str
    precision: str
    threads: int
    history_first: bool
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
    values: Mapping[str, int | str] = MappingProxyType({}),
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
    values
        The model's own options, of all sessions.
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
    if hops < LEAST_HOPS:
        raise ArgumentError(f"hops: {hops}, expected at least {LEAST_HOPS}")
    unknown = [name for name in caches if name not in CACHES]
    if unknown or not caches or not options:
        raise ArgumentError(f"caches: {', '.join(caches) or 'none'}, expected {', '.join(CACHES)}")
    load_average = machine_load()
    with load(model_source) as model:
        sessions = _distinct([model.session(**vars(option), **values) for option in options])
        try:
            timings = time_all(sessions, hops, caches, progress)
            contenders = tuple(
                _contender(session, times) for session, times in zip(sessions, timings, strict=True)
            )
        finally:
            for session in sessions:
                session.close()
        first, name = sessions[0], model.info.name
    memory = measure_memory(model_source, options[0], values)
    return BenchResult(
        cpu=cpu_name(),
        load=load_average,
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        engine=engine_version(),
        ggml=ggml_version(),
        model=name or str(model_source),
        hop_ms=hop_ms(first),
        macs_per_hop=first.macs_per_hop,
        memory=memory,
        contenders=contenders,
    )


def measure_memory(
    model_source: str | os.PathLike[str],
    option: SessionOptions,
    values: Mapping[str, int | str] = MappingProxyType({}),
) -> Memory:
    """Return what a model and each session on it add to the memory of a fresh process."""
    command = [sys.executable, "-m", "voxhop.figures.memory_probe"]
    arguments = [os.fspath(model_source), json.dumps(vars(option) | dict(values))]
    found = subprocess.run(  # noqa: S603 - our own module
        command + arguments, capture_output=True, text=True, check=False
    )
    if found.returncode:
        last = found.stderr.strip().splitlines()[-1:]
        raise EngineError(f"{model_source}: memory not measured: {' '.join(last)}")
    return Memory(*json.loads(found.stdout))


def _distinct(sessions: Sequence[Session]) -> list[Session]:
    """Return the sessions that run on different things; close the others."""
    kept: dict[SessionInfo, Session] = {}
    for session in sessions:
        if kept.setdefault(session.info, session) is not session:
            session.close()
    return list(kept.values())


def _contender(session: Session, timings: tuple[HopTiming, ...]) -> Contender:
    info = session.info
    return Contender(
        kernels=info.kernels,
        isa=info.isa,
        precision=info.precision,
        threads=info.threads,
        history_first=session.options.history_first,
        node_count=info.node_count,
        state_bytes=info.state_bytes,
        scratch_bytes=info.scratch_bytes,
        timings=timings,
    )


def contenders_for(options: SessionOptions) -> list[SessionOptions]:
    """Return `options` and what they compare with: one thread, whole hops, stock kernels."""
    contenders = [options]
    if options.threads > 1:
        contenders.append(replace(options, threads=1))
    if options.history_first:
        contenders.append(replace(options, history_first=False))
    if options.kernels != "stock":
        contenders.append(SessionOptions(kernels="stock"))
    return contenders
