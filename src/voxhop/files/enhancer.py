"""Recordings through streams, sample-aligned: the one way of arrays and of files."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.engine.closing import Closing
from voxhop.errors import ArgumentError
from voxhop.figures.meter import Meter, Tally
from voxhop.files.stretches import StretchPool, joined, plan_stretches, played
from voxhop.media.sources import Converter, at_rate
from voxhop.stream.losses import process_runs, received
from voxhop.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from voxhop.engine.session_info import SessionOptions
    from voxhop.figures.meter import Figures
    from voxhop.files.stretches import Plan
    from voxhop.media.formats import Floats
    from voxhop.media.sources import Recording, Source
    from voxhop.models import Model
    from voxhop.stream.losses import LossTrace
    from voxhop.stream.types import StreamMetrics

BLOCK_S: Final = 0.25  # bounds the memory of a pass; the samples do not depend on it
# Rates at which a stream runs; at any other the recording is converted to the next of the
# carriers and back.
_STREAM_RATES: Final = frozenset(
    (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000)
)
_CARRIERS: Final = (16000, 48000, 192000)
_OWN: Final = ("sample_rate", "channels", "channel_rule", "ref_channels")


def stream_settings(settings: Mapping[str, Any], *, delay_ms: float | str = 0.0) -> dict[str, Any]:
    """Return the settings of the streams for those that a caller of `enhance` gave.

    Parameters
    ----------
    settings
        Fields of `StreamOptions`.
    delay_ms
        Taken where `settings` has none. The others are the stream's own, but for
        ``auto_bypass``, which goes with a delay that is found.

    Raises
    ------
    ArgumentError
        For a setting that the recording decides.
    """
    for name in _OWN:
        if name in settings:
            raise ArgumentError(f"{name}: as the recording has it; expected no setting")
    if settings.get("governor"):
        raise ArgumentError("governor: a recording has no deadline; expected it for a live stream")
    chosen = {"delay_ms": delay_ms, **settings}
    return {"auto_bypass": chosen["delay_ms"] == "auto", **chosen}


def stream_source(source: Source) -> Source:
    """Return a source at a rate that streams run at."""
    if source.rate in _STREAM_RATES:
        return source
    carrier = next((rate for rate in _CARRIERS if rate >= source.rate), _CARRIERS[-1])
    return at_rate(source, carrier)


class Enhancer(Closing):
    """One pass of a recording through a stream per side. A context manager; use once.

    Parameters
    ----------
    recording
        What to enhance.
    model
        A loaded model; the caller closes it.
    options
        How the sessions compute.
    settings
        From `stream_settings`.
    losses
        Which packets of the microphones were lost, None for none.
    workers
        Threads that may work on stretches of the recording at the same time.

    Notes
    -----
    Sample i of all output belongs to sample i of all input, and there are as many of them:
    the latency of the streams is dropped at the start and drawn out with silence at the end.
    """

    def __init__(
        self,
        recording: Recording,
        model: Model,
        options: SessionOptions | None,
        settings: Mapping[str, Any],
        losses: LossTrace | None = None,
        workers: int = 1,
    ) -> None:
        if workers < 1:
            raise ArgumentError(f"workers: {workers}, expected 1 or more")
        self._recording, self._losses, self._read = recording, losses, 0
        self._automatic = settings["delay_ms"] == "auto"
        self._lookahead_ms = float(settings.get("lookahead_ms", 0.0))
        self._takes_ref = model.info.input_count > 1
        self._tally = Tally()
        self._sides: tuple[StreamMetrics, ...] = ()
        self._plan = None
        if losses is None:
            self._plan = plan_stretches(model.info, recording, settings, workers)
        # Those of stretches are opened by the threads that work on them.
        opened = 0 if self._plan else recording.sides

        def open_stream() -> Stream:
            return Stream(model, options=options, sample_rate=recording.rate, **settings)

        self._open_stream = open_stream
        with contextlib.ExitStack() as stack:
            self._streams = [stack.enter_context(open_stream()) for _ in range(opened)]
            self._meters = [Meter(self._tally, recording.rate) for _ in range(recording.sides)]
            self._exit = stack.pop_all()

    def blocks(self) -> Iterator[Floats]:
        """Yield the enhanced ``(n, sides)``, possibly empty, until all of it is there."""
        step = max(1, round(BLOCK_S * self._recording.rate))
        if self._plan is not None:
            yield from self._in_stretches(self._plan, step)
            return
        to_drop = self._streams[0].latency_samples
        while True:
            mics, refs = self._recording.read(step)
            if not len(mics):
                break
            runs = self._runs(len(mics))
            sides = [self._side(i, mics[:, i], ref, runs) for i, ref in enumerate(refs)]
            out = np.stack(sides, axis=1)
            dropped = min(to_drop, len(out))
            to_drop -= dropped
            yield self._counted(out[dropped:])
        self._sides = tuple(stream.metrics for stream in self._streams)
        # A recording shorter than the latency has left some of it to drop.
        tail = np.stack([stream.flush() for stream in self._streams], axis=1)
        yield self._counted(tail[to_drop:])

    def _in_stretches(self, plan: Plan, step: int) -> Iterator[Floats]:
        parts: list[tuple[StreamMetrics, ...]] = []

        def open_streams() -> list[Stream]:
            return [self._open_stream() for _ in self._meters]

        pool = StretchPool(plan, open_streams, silence=self._takes_ref)
        for done in pool.run(self._recording, step):
            parts.append(done.sides)
            for block, out, looks in zip(done.blocks, done.outs, done.looks, strict=True):
                for i, meter in enumerate(self._meters):
                    if meter.add_input(block.mics[:, i], block.refs[i]):
                        self._look(looks[i])
                yield self._counted(out)
        self._sides = tuple(joined(list(side)) for side in zip(*parts, strict=True))

    @property
    def sides(self) -> tuple[StreamMetrics, ...]:
        """Figures of each stream at the end of the recording."""
        return self._sides

    def figures(self) -> Figures:
        """Return the figures of the whole recording."""
        if not self._automatic:
            return self._tally.figures(self._tally.model_delay())
        first = self._sides[0]
        confidence = None if first.delay_ms is None else first.delay_confidence
        return self._tally.figures((first.delay_ms, confidence))

    def close(self) -> None:
        """Close the streams. May be repeated."""
        self._exit.close()

    def _runs(self, frames: int) -> list[tuple[int, bool]]:
        """Return the stretches of the next `frames` frames: their length, and if they are lost."""
        start, self._read = self._read, self._read + frames
        if self._losses is None:
            return [(frames, False)]
        return list(self._losses.runs(self._recording.rate, start, frames))

    def _side(
        self, i: int, mic: Floats, ref: Floats | None, runs: list[tuple[int, bool]]
    ) -> Floats:
        heard = played(mic, ref, silence=self._takes_ref)
        out = process_runs(self._streams[i], mic, heard, runs)
        if any(lost for _, lost in runs):
            mic = received(mic, runs)
        sounds = self._meters[i].add_input(mic, ref)
        if sounds and not self._automatic:
            self._look(self._streams[i].metrics)
        return out

    def _look(self, metrics: StreamMetrics) -> None:
        """Count where the model looks for the echo, in the recording's own time."""
        if metrics.model_delay_ms is not None and metrics.model_confidence is not None:
            delay = metrics.model_delay_ms - self._lookahead_ms
            self._tally.add_delay(delay, metrics.model_confidence)

    def _counted(self, out: Floats) -> Floats:
        for i, meter in enumerate(self._meters):
            meter.add_output(out[:, i])
        return out


def at_source_rate(blocks: Iterator[Floats], rate: int, source: Source) -> Iterator[Floats]:
    """Yield blocks at the rate of `source`, in all exactly as long as it.

    Parameters
    ----------
    blocks, rate
        What `Enhancer.blocks` yields, and its rate.
    source
        The microphones before `stream_source`.
    """
    return converted(blocks, rate, source.rate, source.frames)


def converted(blocks: Iterator[Floats], rate: int, to_rate: int, frames: int) -> Iterator[Floats]:
    """Yield blocks of `rate` at `to_rate`, in all exactly `frames`.

    At the same rate they are as they are, and as many.
    """
    if rate == to_rate:
        yield from blocks
        return
    converter, left, shape = None, frames, (0, 0)
    for block in blocks:
        shape = (0, block.shape[1])
        converter = converter or Converter(rate, to_rate, block.shape[1])
        ready = converter.convert(block)[:left]
        left -= len(ready)
        yield ready
    if converter is not None:
        # The rounding of two conversions may leave a sample or two to fill.
        rest = converter.convert(np.zeros(shape, np.float32), last=True)[:left]
        yield np.pad(rest, ((0, left - len(rest)), (0, 0)))
