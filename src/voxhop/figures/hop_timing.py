"""Times hops of real speech by what happens between them, several sessions in turns."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.figures.machine import cache_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from voxhop.engine.session import Session

    Samples = npt.NDArray[np.float32]

CACHES: Final = ("hot", "l2-cold", "dram-cold", "paced", "paced-busy")
_ROUND: Final = 50  # hops of one session in a row, so that contenders meet the same weather
LEAST_HOPS: Final = 2 * _ROUND  # for a 99th percentile
_WARM_UP: Final = 5  # hops at the start of a round that refill the caches, not counted
_COLD_SHARE: Final = 5  # a hop that waits for something costs more, so there are fewer
_DEFAULT_L2: Final = 2 << 20
_DEFAULT_L3: Final = 64 << 20


@dataclass(frozen=True)
class HopTiming:
    """Times of one hop after one kind of pause, in ms.

    Attributes
    ----------
    cache
        ``"hot"``: hops back to back. ``"l2-cold"``: as much as twice the L2 cache was read
        in between. ``"dram-cold"``: as much as twice the last-level cache. ``"paced"``: one hop
        per hop's time, asleep in between, as an application calls; ``"paced-busy"``: the same,
        spinning on the clock in between.
    hops
        How many were timed.
    min_ms, p50_ms, p99_ms, max_ms
        Wall time of the Python call; with ``history_first`` of what is left of it after
        `Session.prepare`.
    cpu_min_ms, cpu_p50_ms
        The same in CPU time of the calling thread: what other programs on the machine
        disturb least.
    prepare_cpu_min_ms
        CPU time of `Session.prepare`, None without ``history_first``.
    real_time_factor
        Median wall time over the length of a hop; below 1 keeps up.
    """

    cache: str
    hops: int
    min_ms: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_min_ms: float
    cpu_p50_ms: float
    prepare_cpu_min_ms: float | None
    real_time_factor: float


@dataclass
class _Times:
    """Nanoseconds of each hop of one session after one kind of pause."""

    wall: list[int] = field(default_factory=list)
    cpu: list[int] = field(default_factory=list)
    prepare_cpu: list[int] = field(default_factory=list)


def speech(samples: int) -> tuple[Samples, Samples]:
    """Return microphone and reference of the demo call, repeated to `samples`."""
    from voxhop.io import AudioReader  # noqa: PLC0415 - soundfile is not needed to import this

    tracks = []
    for name in ("mic", "ref"):
        with AudioReader(Path(__file__).parent.parent / "demo" / f"{name}.flac") as reader:
            tracks.append(np.resize(reader.read(reader.frames)[:, 0], samples))
    return tracks[0], tracks[1]


def time_all(
    sessions: Sequence[Session],
    hops: int,
    caches: Sequence[str],
    progress: Callable[[float, float], None],
) -> list[tuple[HopTiming, ...]]:
    """Time `hops` hops of every session, in turns, in each state of the caches."""
    hop = sessions[0].inputs[0].count
    mic, ref = inputs_of(sessions[0], hop * (hops + _ROUND))
    parts = [(cache, max(LEAST_HOPS, hops // _cost(cache))) for cache in caches]
    timings: list[list[HopTiming]] = [[] for _ in sessions]
    total = float(sum(count for _, count in parts))
    done = 0.0
    for cache, count in parts:
        pause = _pause(cache, hop_ms(sessions[0]) / 1000.0)
        times = [_Times() for _ in sessions]
        for start in range(0, count, _ROUND):
            stretch = slice(start * hop, (start + _ROUND + _WARM_UP) * hop)
            for session, into in zip(sessions, times, strict=True):
                heard = None if ref is None else ref[stretch]
                _time_round(session, mic[stretch], heard, pause, into)
            done += _ROUND
            progress(min(done, total), total)
        for i, session in enumerate(sessions):
            timings[i].append(_timing(cache, times[i], session))
    return [tuple(found) for found in timings]


def inputs_of(session: Session, count: int) -> tuple[npt.NDArray[Any], Samples | None]:
    """Return `count` values of what a session takes: speech, or codes of five bits."""
    if session.inputs[0].type == "codes":
        return np.random.default_rng(0).integers(0, 32, count).astype(np.uint8), None
    mic, ref = speech(count)
    return mic, ref if session.model.info.input_count > 1 else None


def _time_round(
    session: Session,
    mic: npt.NDArray[Any],
    ref: Samples | None,
    pause: Callable[[], None] | None,
    into: _Times,
) -> None:
    """Process hop after hop; append what each took, the warm-up left out."""
    hop = session.inputs[0].count
    out = np.empty(hop, np.float32)
    to_audio = session.inputs[0].type == session.outputs[0].type == "audio"
    for i in range(len(mic) // hop):
        part = slice(i * hop, (i + 1) * hop)
        if pause is not None:
            pause()
        prepare_start = time.thread_time_ns()
        session.prepare()
        cpu_start = time.thread_time_ns()
        start = time.perf_counter_ns()
        if to_audio:
            session.process_hop_into(mic[part], None if ref is None else ref[part], out)
        else:
            session.process_hop(mic[part])
        wall_ns = time.perf_counter_ns() - start
        cpu_ns = time.thread_time_ns() - cpu_start
        if i >= _WARM_UP:
            into.wall.append(wall_ns)
            into.cpu.append(cpu_ns)
            into.prepare_cpu.append(cpu_start - prepare_start)


def _timing(cache: str, times: _Times, session: Session) -> HopTiming:
    wall_ms = np.array(times.wall) / 1e6
    cpu_ms = np.array(times.cpu) / 1e6
    ahead = session.options.history_first
    median = float(np.median(wall_ms))
    return HopTiming(
        cache=cache,
        hops=len(wall_ms),
        min_ms=float(wall_ms.min()),
        p50_ms=median,
        p99_ms=float(np.percentile(wall_ms, 99)),
        max_ms=float(wall_ms.max()),
        cpu_min_ms=float(cpu_ms.min()),
        cpu_p50_ms=float(np.median(cpu_ms)),
        prepare_cpu_min_ms=min(times.prepare_cpu) / 1e6 if ahead else None,
        real_time_factor=median / hop_ms(session),
    )


def hop_ms(session: Session) -> float:
    """Return the duration of a hop in milliseconds."""
    return 1000.0 * session.hop_length / session.sample_rate


def _cost(cache: str) -> int:
    return 1 if cache == "hot" else _COLD_SHARE


def _pause(cache: str, hop_s: float) -> Callable[[], None] | None:
    """Return what comes before each hop, or None."""
    if cache == "hot":
        return None
    if cache.startswith("paced"):
        return _metronome(hop_s, asleep=cache == "paced")
    level, default = ((2, _DEFAULT_L2), (3, _DEFAULT_L3))[cache == "dram-cold"]
    buffer = np.zeros(2 * (cache_bytes(level) or default) // 8)

    def evict() -> None:
        np.add(buffer, 1.0, out=buffer)

    return evict


def _metronome(hop_s: float, *, asleep: bool) -> Callable[[], None]:
    """Return what waits for the next beat; a beat that was missed by a whole one is skipped."""
    beat = 0.0

    def wait() -> None:
        nonlocal beat
        now = time.perf_counter()
        beat = beat + hop_s if now < beat + hop_s else now + hop_s
        if asleep:
            time.sleep(beat - now)
        else:
            while time.perf_counter() < beat:
                pass

    return wait
