"""A recording cut into stretches that several threads work on at the same time.

Every thread's stream hears all of the recording. It skims what others work on, which keeps up what
remembers all of the past, and begins to work so much before a stretch of its own that the rest has
warmed up: what it makes of it is what one stream would have made, but for rounding.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections import deque
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
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

_SKIM_COST: Final = 0.2
"""Time to skim over time to work: .01 for SEFlow, .09 to .28 for LocalVQE."""

_REST: Final = 1 << 60
"""More frames than there are."""

_COUNTS: Final = (
    *("frames", "hops", "late_hops", "failed_hops", "clipped_samples", "nonfinite_samples"),
    *("ref_missing_frames", "ref_late_frames", "ref_dropped_frames"),
    *("realignments", "lost_frames", "lost_bursts", "resizes", "declipped_samples"),
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
    lead
        By which a stream begins to work before a stretch.
    begins
        Of the stretches, from 0 on. The last has all that is left.
    """

    workers: int
    lead: int
    begins: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Frames of the longest but the last, which waits for nothing."""
        return max(b - a for a, b in itertools.pairwise(self.begins))

    def length(self, number: int) -> int:
        """Return the frames of a stretch, of the last any number."""
        last = number + 1 == len(self.begins)
        return _REST if last else self.begins[number + 1] - self.begins[number]


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
        Of the streams. What judges the model goes by all that it did.
    workers
        How many stretches are worked on at a time.
    """
    judged = settings.get("auto_bypass", True)
    if workers < 2 or not info.warm_up_samples or judged:  # noqa: PLR2004 - one is no division
        return None
    rate, sides = recording.rate, recording.sides
    delay_ms = 0.0 if settings["delay_ms"] == "auto" else float(settings["delay_ms"])
    late_s = (delay_ms + float(settings.get("lookahead_ms", 0.0))) / 1000.0
    lead_s = math.ceil(info.warm_up_samples / info.sample_rate + late_s + _STREAM_S)
    frames, lead = recording.frames, lead_s * rate
    for n in range(workers, 1, -1):
        # What a worker may be behind the others waits: what it has to hear, what they have made.
        bytes_per_s = 4 * rate * (n + 1) * (2 * sides + 1)
        room = math.floor(_MOST_BYTES / bytes_per_s) * rate
        plan = Plan(n, lead, _begins(frames, lead, n, rate))
        # Of stretches shorter than a lead more would be done twice than is gained.
        if plan.longest > room:
            if room >= lead and frames >= n * room:
                return Plan(n, lead, tuple(range(0, frames, room)))
        elif min(b - a for a, b in itertools.pairwise((*plan.begins, frames))) >= lead:
            return plan
    return None


def _begins(frames: int, lead: int, workers: int, rate: int) -> tuple[int, ...]:
    """Cut a recording at whole seconds so that all workers are done at the same time.

    Later ones skim more, and work up a lead; what is behind their stretch they need not hear.
    """

    def cut(until: float) -> list[float]:
        """Return the stretches that are done when so many frames could be worked on."""
        begins = [0.0, until]
        while len(begins) <= workers:
            skimmed = begins[-1] - lead
            begins.append(begins[-1] + until - lead - _SKIM_COST * skimmed)
        return begins

    # What is cut grows evenly with the time.
    none, some = cut(0.0)[-1], cut(1.0)[-1]
    begins = cut((frames - none) / (some - none))[:-1]
    return tuple(max(0, round(begin / rate)) * rate for begin in begins)


def played(mic: Floats, ref: Floats | None, *, silence: bool) -> Floats | None:
    """Return what a stream is to hear as the reference of ``(n,)`` of a recording.

    With `silence` no reference is a silent loudspeaker, not a reference that is missing.
    """
    return np.zeros_like(mic) if ref is None and silence else ref


class _Shared:
    """Blocks of a recording that all workers hear, and what they have made of it.

    Attributes
    ----------
    changed
        Guards all else, and tells that some of it has changed.
    done
        By the number of the stretch, until it is fetched.
    stopped, ended
        Nobody wants more; the recording has no more.
    fault
        What a worker ended by.
    """

    def __init__(self, workers: int) -> None:
        self.changed = threading.Condition()
        self.done: dict[int, Done] = {}
        self.stopped = self.ended = False
        self.fault: BaseException | None = None
        self._blocks: deque[Block] = deque()
        self._dropped = 0  # blocks that all have heard
        self._heard = [0] * workers
        self._frames = 0

    def waiting(self) -> int:
        """Return how many frames some worker has not heard yet."""
        return self._frames

    def add(self, block: Block) -> None:
        """Hand a block to the workers; none: the recording has ended."""
        with self.changed:
            self.ended = not len(block.mics)
            if not self.ended:
                self._blocks.append(block)
                self._frames += len(block.mics)
            self.changed.notify_all()

    def stop(self, fault: BaseException | None = None) -> None:
        """Let the workers end where they are, by a fault of one of them."""
        with self.changed:
            self.stopped = True
            self.fault = self.fault or fault
            self.changed.notify_all()

    def finish(self, number: int, done: Done) -> None:
        """Hand a stretch over."""
        with self.changed:
            self.done[number] = done
            self.changed.notify_all()

    def leave(self, worker: int) -> None:
        """Let nothing wait any longer for a worker that has no more to do."""
        with self.changed:
            self._heard[worker] = _REST
            self._drop()

    def heard_by(self, worker: int) -> Iterator[Block]:
        """Yield block after block as they come."""
        while True:
            with self.changed:
                at = self._heard[worker]

                def ready(at: int = at) -> bool:
                    return self.stopped or self.ended or at < self._dropped + len(self._blocks)

                self.changed.wait_for(ready)
                if self.stopped:
                    raise InterruptedError("enhancing: stopped")
                if at == self._dropped + len(self._blocks):
                    return
                block = self._blocks[at - self._dropped]
                self._heard[worker] = at + 1
                self._drop()
            yield block

    def _drop(self) -> None:
        """Forget what all have heard."""
        while self._blocks and self._dropped < min(self._heard):
            self._frames -= len(self._blocks.popleft().mics)
            self._dropped += 1
        self.changed.notify_all()


class StretchPool:
    """Threads that work on stretches of a recording.

    Parameters
    ----------
    plan
        From `plan_stretches`.
    open_streams
        Opens a stream per side, for every worker.
    silence
        See `played`.
    """

    def __init__(
        self, plan: Plan, open_streams: Callable[[], list[Stream]], *, silence: bool
    ) -> None:
        self._plan, self._open, self._silence = plan, open_streams, silence
        self._shared = _Shared(plan.workers)

    def run(self, recording: Recording, step: int) -> Iterator[Done]:
        """Yield what becomes of stretch after stretch.

        Parameters
        ----------
        recording
            Read once, from its start to its end.
        step
            Most frames of a block.
        """
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - few recordings are cut

        plan, shared = self._plan, self._shared
        most = (plan.workers + 1) * plan.longest
        at = number = 0
        with ThreadPoolExecutor(plan.workers) as threads:
            try:
                for worker in range(plan.workers):
                    threads.submit(self._work, worker)

                def turn() -> bool:
                    """Tell whether there is something to fetch, to read or to raise."""
                    room = not shared.ended and shared.waiting() < most
                    return number in shared.done or room or shared.fault is not None

                edges = iter((*plan.begins[1:], _REST))
                edge = next(edges)
                while not shared.ended or (number < len(plan.begins) and plan.begins[number] < at):
                    with shared.changed:
                        shared.changed.wait_for(turn)
                        done = shared.done.pop(number, None)
                    if shared.fault is not None:
                        raise shared.fault
                    if done is not None:
                        number += 1
                        yield done
                    elif not shared.ended:
                        block = Block(*recording.read(min(step, edge - at)))
                        at += len(block.mics)
                        if at == edge:
                            edge = next(edges)
                        shared.add(block)
            finally:  # by an error or an interrupt, too
                shared.stop()

    def _work(self, worker: int) -> None:
        """Pass the recording through streams, and hand this worker's stretches over."""
        try:
            streams = self._open()
            try:
                self._hear(worker, streams)
            finally:
                for stream in streams:
                    stream.close()
        except BaseException as error:  # noqa: BLE001 - raised by `run`
            self._shared.stop(error)

    def _hear(self, worker: int, streams: list[Stream]) -> None:
        plan, shared = self._plan, self._shared
        at, number, skims = 0, worker, False
        stretch = _Stretch(plan.begins[number], plan.length(number), streams)
        for block in shared.heard_by(worker):
            if skims != (at + len(block.mics) <= stretch.begin - plan.lead):
                skims = not skims
                for stream in streams:
                    stream.set_skim(skims)
            if at == stretch.begin:
                stretch.start()
            out = self._passed(streams, block)
            stretch.take(at, block, out)
            at += len(block.mics)
            if stretch.complete():
                shared.finish(number, stretch.done())
                number += plan.workers
                if number >= len(plan.begins):
                    shared.leave(worker)
                    return
                stretch = _Stretch(plan.begins[number], plan.length(number), streams)
        if at > stretch.begin:
            stretch.end(at, np.stack([stream.flush() for stream in streams], axis=1))
            shared.finish(number, stretch.done())

    def _passed(self, streams: list[Stream], block: Block) -> Floats:
        outs = []
        for stream, mic, ref in zip(streams, block.mics.T, block.refs, strict=True):
            outs.append(stream.process(mic, played(mic, ref, silence=self._silence)))
        return np.stack(outs, axis=1)


class _Stretch:
    """One stretch as a worker comes to it, of the frames `begin` to `begin` + `wanted`."""

    def __init__(self, begin: int, wanted: int, streams: list[Stream]) -> None:
        self.begin, self._wanted, self._streams = begin, wanted, streams
        self._latency = streams[0].latency_samples
        self._begun: tuple[StreamMetrics, ...] = ()
        self._blocks: list[Block] = []
        self._looks: list[tuple[StreamMetrics, ...]] = []
        self._parts: list[Floats] = []
        self._made = 0

    def start(self) -> None:
        """Note the figures before its first block."""
        self._begun = self._figures()

    def take(self, at: int, block: Block, out: Floats) -> None:
        """Keep of a block from frame `at` on, and of what came out, what belongs to this."""
        if self.begin <= at < self.begin + self._wanted:
            self._blocks.append(block)
            self._looks.append(self._figures())
        self._keep(at, out)

    def end(self, at: int, tail: Floats) -> None:
        """Keep what was still inside when the recording ended at frame `at`."""
        self._wanted = min(self._wanted, at - self.begin)
        self._keep(at, tail)

    def complete(self) -> bool:
        """Tell whether all of it is there."""
        return self._made == self._wanted

    def done(self) -> Done:
        """Return it."""
        edges = np.cumsum([len(block.mics) for block in self._blocks])[:-1]
        outs = np.split(np.concatenate(self._parts), edges)
        sides = tuple(_since(a, b) for a, b in zip(self._begun, self._looks[-1], strict=True))
        return Done(self._blocks, outs, self._looks, sides)

    def _figures(self) -> tuple[StreamMetrics, ...]:
        return tuple(stream.metrics for stream in self._streams)

    def _keep(self, at: int, out: Floats) -> None:
        first = max(0, self.begin + self._made - (at - self._latency))
        part = out[first : first + self._wanted - self._made]
        self._made += len(part)
        if len(part):
            self._parts.append(part)


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
