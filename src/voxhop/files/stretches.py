"""A recording cut into stretches that streams of their own work on at the same time.

Each stretch's stream begins so much earlier that nothing before that counts any more, so what
it makes of its stretch is what one stream would have made, but for rounding.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future
    from typing import Any

    from voxhop.media.formats import Floats
    from voxhop.media.sources import Recording
    from voxhop.models import ModelInfo
    from voxhop.stream.stream import Stream
    from voxhop.stream.types import StreamMetrics

_MOST_BYTES: Final = 240_000_000
"""Of all samples that wait at a time."""

_STREAM_S: Final = 2.0
"""What a stream around the model remembers: filters, levels, gains."""

_COUNTS: Final = (
    *("frames", "hops", "late_hops", "failed_hops", "clipped_samples", "nonfinite_samples"),
    *("ref_missing_frames", "ref_late_frames", "ref_dropped_frames"),
    *("realignments", "lost_frames", "lost_bursts", "resizes"),
)


class Block(NamedTuple):
    """Some frames of a recording: ``(n, sides)``, and per side a reference or None."""

    mics: Floats
    refs: tuple[Floats | None, ...]


@dataclass(frozen=True)
class Plan:
    """How a recording is cut, in frames.

    Attributes
    ----------
    workers
        How many stretches are worked on at a time: as many as asked for, or as fit in memory.
    grid
        Every stretch begins at a multiple of it: streams that begin there, too, agree on where
        hops and the phases of resampling lie.
    lead, stretch
        By which a stream begins earlier, and how much of the recording it is for.
    """

    workers: int
    grid: int
    lead: int
    stretch: int


class Done(NamedTuple):
    """What became of a stretch.

    Attributes
    ----------
    blocks, outs
        What was heard in it and what was made of that, piece by piece.
    looks
        Per block and side the stream's figures after it.
    sides
        Per side the figures of the stretch alone.
    """

    blocks: list[Block]
    outs: list[Floats]
    looks: list[tuple[StreamMetrics, ...]]
    sides: tuple[StreamMetrics, ...]


def plan_stretches(
    info: ModelInfo, recording: Recording, settings: Mapping[str, Any], workers: int
) -> Plan | None:
    """Return how to cut a recording for so many workers, or None when one stream must do it all.

    Parameters
    ----------
    info
        Of the model.
    recording
        Where it comes from.
    settings
        Of the streams. What follows the echo or judges the model goes by all of the past.
    workers
        How many stretches are worked on at a time.
    """
    endless = settings["delay_ms"] == "auto" or settings.get("auto_bypass", True)
    if workers < 2 or not info.memory_samples or endless:  # noqa: PLR2004 - one is no division
        return None
    rate, sides = recording.rate, recording.sides
    grid_s = info.hop_samples // math.gcd(info.hop_samples, info.sample_rate)
    late_s = (float(settings["delay_ms"]) + float(settings.get("lookahead_ms", 0.0))) / 1000.0
    needed_s = info.memory_samples / info.sample_rate + late_s + _STREAM_S
    lead_s = math.ceil(needed_s / grid_s) * grid_s
    for n in range(workers, 1, -1):
        # Waiting: what the workers hear, what comes next, and what they have made.
        bytes_per_s = 4 * rate * ((n + 2) * (sides + 1) + (n + 1) * sides)
        room_s = math.floor((_MOST_BYTES / bytes_per_s - lead_s) / grid_s) * grid_s
        stretch_s = min(math.ceil(recording.frames / rate / n / grid_s) * grid_s, room_s)
        # Of shorter ones more would be done twice than is gained.
        if stretch_s >= lead_s and recording.frames > stretch_s * rate:
            return Plan(n, grid_s * rate, lead_s * rate, stretch_s * rate)
    return None


def played(mic: Floats, ref: Floats | None, *, silence: bool) -> Floats | None:
    """Return what a stream is to hear as the reference of ``(n,)`` of a recording.

    With `silence` no reference is a silent loudspeaker, not a reference that is missing.
    """
    return np.zeros_like(mic) if ref is None and silence else ref


class StretchPool:
    """Threads that work on stretches of a recording.

    Parameters
    ----------
    workers
        Of a `Plan`.
    open_streams
        Opens a stream per side; every stretch has its own.
    silence
        See `played`.
    """

    def __init__(
        self, workers: int, open_streams: Callable[[], list[Stream]], *, silence: bool
    ) -> None:
        self._workers, self._open, self._silence = workers, open_streams, silence
        self._stop = threading.Event()

    def run(self, recording: Recording, plan: Plan, step: int) -> Iterator[Done]:
        """Yield what becomes of stretch after stretch.

        Parameters
        ----------
        recording
            Read once, from its start to its end.
        plan
            From `plan_stretches`.
        step
            Most frames of a block.
        """
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - few recordings are cut

        waiting: deque[Future[Done]] = deque()
        with ThreadPoolExecutor(self._workers) as threads:
            try:
                for lead, blocks, after in _cut(recording, plan, step):
                    waiting.append(threads.submit(self._work, lead, blocks, after))
                    if len(waiting) > self._workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # by an error or an interrupt, too
                self._stop.set()
                for future in waiting:
                    future.cancel()

    def _work(self, lead: list[Block], blocks: list[Block], after: list[Block]) -> Done:
        """Pass one stretch, and what lies around it, through streams."""
        streams = self._open()
        try:
            output = _Output(streams[0].latency_samples + _frames(lead), _frames(blocks))
            for block in lead:
                output.take(self._passed(streams, block))
            begun = tuple(stream.metrics for stream in streams)
            looks: list[tuple[StreamMetrics, ...]] = []
            for block in blocks:
                output.take(self._passed(streams, block))
                looks.append(tuple(stream.metrics for stream in streams))
            for block in after:
                if not output.missing:
                    break
                output.take(self._passed(streams, block))
            if output.missing:  # the recording ends
                output.take(np.stack([stream.flush() for stream in streams], axis=1))
        finally:
            for stream in streams:
                stream.close()
        edges = np.cumsum([len(block.mics) for block in blocks])[:-1]
        sides = tuple(_since(a, b) for a, b in zip(begun, looks[-1], strict=True))
        return Done(blocks, np.split(output.joined(), edges), looks, sides)

    def _passed(self, streams: list[Stream], block: Block) -> Floats:
        if self._stop.is_set():
            raise InterruptedError("enhancing: stopped")
        outs = []
        for stream, mic, ref in zip(streams, block.mics.T, block.refs, strict=True):
            outs.append(stream.process(mic, played(mic, ref, silence=self._silence)))
        return np.stack(outs, axis=1)


class _Output:
    """The part of what streams give that belongs to a stretch."""

    def __init__(self, early: int, wanted: int) -> None:
        self._early, self.missing = early, wanted
        self._parts: list[Floats] = []

    def take(self, out: Floats) -> None:
        early = min(self._early, len(out))
        self._early -= early
        part = out[early : early + self.missing]
        self.missing -= len(part)
        self._parts.append(part)

    def joined(self) -> Floats:
        return np.concatenate(self._parts)


def _cut(
    recording: Recording, plan: Plan, step: int
) -> Iterator[tuple[list[Block], list[Block], list[Block]]]:
    """Yield what lies before each stretch, in it, and after it until its output is complete."""
    blocks = _blocks(recording, plan.grid, step)
    before: list[Block] = []
    within = _take(blocks, plan.stretch)
    while within:
        following = _take(blocks, plan.stretch)
        yield before, within, following
        before, within = _last(before + within, plan.lead), following


def _blocks(recording: Recording, grid: int, step: int) -> Iterator[Block]:
    """Yield the recording in blocks that do not reach over multiples of the grid."""
    at = 0
    while True:
        block = Block(*recording.read(min(step, grid - at % grid)))
        if not len(block.mics):
            return
        at += len(block.mics)
        yield block


def _take(blocks: Iterator[Block], frames: int) -> list[Block]:
    """Return the next blocks, so many frames in all, fewer at the end."""
    taken: list[Block] = []
    while frames > 0 and (block := next(blocks, None)) is not None:
        taken.append(block)
        frames -= len(block.mics)
    return taken


def _last(blocks: list[Block], frames: int) -> list[Block]:
    """Return the last blocks, so many frames in all."""
    at = len(blocks)
    while at > 0 and frames > 0:
        at -= 1
        frames -= len(blocks[at].mics)
    return blocks[at:]


def _frames(blocks: list[Block]) -> int:
    return sum(len(block.mics) for block in blocks)


def _since(begun: StreamMetrics, ended: StreamMetrics) -> StreamMetrics:
    """Return the figures at the end, with the counts since the beginning."""
    counts = {name: getattr(ended, name) - getattr(begun, name) for name in _COUNTS}
    return replace(ended, **counts)


def joined(parts: list[StreamMetrics]) -> StreamMetrics:
    """Return the figures of a recording from those of its stretches, in order.

    Counts are sums, times per hop the worst of all stretches, everything else as at the end.
    """
    names = {f.name for f in fields(parts[0])}
    counts = {name: sum(getattr(part, name) for part in parts) for name in names & {*_COUNTS}}
    times = {
        name: max(getattr(part, name) for part in parts) for name in ("hop_p50_ms", "hop_p99_ms")
    }
    return replace(parts[-1], **counts, **times)
