"""Whole files through streams: alignment, drift and two-sided calls, in constant memory."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop._formats import ChannelRule
from voxhop.errors import ArgumentError
from voxhop.io import AudioReader, AudioWriter, choose_encoding
from voxhop.offline import opened
from voxhop.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voxhop._formats import Floats
    from voxhop.offline import ModelSource
    from voxhop.session_info import SessionOptions
    from voxhop.stream_types import StreamMetrics

    FilePath = str | os.PathLike[str]

_BLOCK_S: Final = 0.5
_SIDES: Final = 2


@dataclass(frozen=True)
class StreamFileReport:
    """What `stream_file` did.

    Attributes
    ----------
    mic, ref, out
        The files; `ref` is None without one.
    sample_rate, channels, seconds
        Of the output.
    sides
        The figures of each stream at the end: one per output channel.
    clipped_samples
        Output samples beyond full scale that were cut to it.
    elapsed_s, speed
        Wall time, and seconds of audio per second of it.
    """

    mic: str
    ref: str | None
    out: str
    sample_rate: int
    channels: int
    seconds: float
    sides: tuple[StreamMetrics, ...]
    clipped_samples: int
    elapsed_s: float
    speed: float


def stream_file(  # noqa: PLR0913 - keyword-only options
    mic: FilePath,
    out: FilePath,
    *,
    ref: FilePath | None = None,
    cross: bool = False,
    model: ModelSource = None,
    mic_channel: int | None = None,
    ref_channel: int | None = None,
    subtype: str | None = None,
    progress: Callable[[float, float], None] | None = None,
    options: SessionOptions | None = None,
    **settings: Any,  # noqa: ANN401 - those of Stream
) -> StreamFileReport:
    """Send a file through `Stream`: the delay is found, drift followed, the high band kept.

    Parameters
    ----------
    mic, out, ref, model, mic_channel, ref_channel, subtype, progress, options
        As for `voxhop.enhance_file`.
    cross
        The file is a call with one party per channel: each channel is cleaned of the echo of
        the other. Needs exactly two channels, and none of the other choices of a reference.
    **settings
        Fields of `StreamOptions` other than `sample_rate` and the channels.

    Returns
    -------
    StreamFileReport
        What was done. The output is as long as `mic`, and aligned with it.

    Raises
    ------
    AudioFileError
        When a file cannot be read or written.
    ArgumentError
        For channels that do not exist or do not go together, and settings out of range.
    """
    start = time.monotonic()
    rule = ChannelRule(mic_channel, ref_channel)
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(AudioReader(mic))
        ref_reader = None if ref is None else stack.enter_context(AudioReader(ref))
        for source in (mic, ref):
            if source is not None and Path(out).exists() and Path(out).samefile(source):
                raise ArgumentError(f"{out}: an input too; expected another name")
        pairs: _CrossPairs | _RefPairs
        if cross:
            if ref is not None or mic_channel is not None or ref_channel is not None:
                raise ArgumentError("cross: the other channel is the reference; expected no other")
            pairs = _CrossPairs(reader)
        else:
            pairs = _RefPairs(reader, ref_reader, rule)
        encoding = choose_encoding(out, reader, subtype)
        loaded = stack.enter_context(opened(model))
        streams = [
            stack.enter_context(
                Stream(loaded, options=options, sample_rate=reader.rate, **settings)
            )
            for _ in range(pairs.count)
        ]
        writer = stack.enter_context(
            AudioWriter(out, rate=reader.rate, channels=pairs.count, encoding=encoding)
        )
        sides = _run(pairs, streams, writer, reader.seconds, progress)
    elapsed = time.monotonic() - start
    return StreamFileReport(
        mic=os.fspath(mic),
        ref=None if ref is None else os.fspath(ref),
        out=os.fspath(out),
        sample_rate=reader.rate,
        channels=pairs.count,
        seconds=reader.seconds,
        sides=sides,
        clipped_samples=writer.clipped,
        elapsed_s=elapsed,
        speed=reader.seconds / elapsed,
    )


class _CrossPairs:
    """The two channels of a call: each is the other's reference."""

    count: Final = _SIDES

    def __init__(self, reader: AudioReader) -> None:
        if reader.channels != _SIDES:
            found = reader.channels
            raise ArgumentError(f"{reader.name}: {found} channels, expected 2 for a call recording")
        self._reader = reader

    def read(self) -> list[tuple[Floats, Floats | None]]:
        """Return microphone and reference of each side, of the next stretch; empty at the end."""
        block = self._reader.read(round(_BLOCK_S * self._reader.rate))
        if not len(block):
            return []
        left, right = (np.ascontiguousarray(block[:, c]) for c in range(_SIDES))
        return [(left, right), (right, left)]


class _RefPairs:
    """Microphone channels that share a reference."""

    def __init__(self, mic: AudioReader, ref: AudioReader | None, rule: ChannelRule) -> None:
        self._mic, self._ref, self._rule = mic, ref, rule
        self._channels = rule.mic_channels(mic.channels, has_ref=ref is not None)
        self._converter: Any = None
        self._waiting = np.zeros(0, np.float32)
        if ref is not None and ref.rate != mic.rate:
            import soxr  # noqa: PLC0415 - only where rates differ

            self._converter = soxr.ResampleStream(ref.rate, mic.rate, 1, "float32", "VHQ")

    @property
    def count(self) -> int:
        return len(self._channels)

    def read(self) -> list[tuple[Floats, Floats | None]]:
        """Return microphone and reference of each channel; empty at the end."""
        block = self._mic.read(round(_BLOCK_S * self._mic.rate))
        if not len(block):
            return []
        if self._ref is None:
            reference = self._rule.reference(block, None)
        else:
            reference = self._next_reference(self._ref, len(block))
        return [(np.ascontiguousarray(block[:, c]), reference) for c in self._channels]

    def _next_reference(self, ref: AudioReader, frames: int) -> Floats:
        """Return the reference of the next `frames`; silence after its end."""
        while len(self._waiting) < frames:
            block = ref.read(round(_BLOCK_S * ref.rate))
            mono = self._rule.reference(block, block) if len(block) else np.zeros(0, np.float32)
            if self._converter is not None:
                mono = self._converter.resample_chunk(mono, last=not len(block))
            self._waiting = np.concatenate([self._waiting, np.asarray(mono, np.float32)])
            if not len(block):
                self._converter = None
                missing = max(0, frames - len(self._waiting))
                self._waiting = np.pad(self._waiting, (0, missing))
        reference, self._waiting = self._waiting[:frames], self._waiting[frames:]
        return reference


def _run(
    pairs: _CrossPairs | _RefPairs,
    streams: Sequence[Stream],
    writer: AudioWriter,
    seconds: float,
    progress: Callable[[float, float], None] | None,
) -> tuple[StreamMetrics, ...]:
    """Pump all of it; return the figures of each stream at the end."""
    latency = streams[0].latency_samples
    to_drop, done = latency, 0.0
    while blocks := pairs.read():
        columns = [s.process(mic, ref) for s, (mic, ref) in zip(streams, blocks, strict=True)]
        dropped = min(to_drop, len(columns[0]))
        to_drop -= dropped
        writer.write(np.stack(columns, axis=1)[dropped:])
        done = min(seconds, done + _BLOCK_S)
        if progress is not None:
            progress(done, seconds)
    metrics = tuple(stream.metrics for stream in streams)
    # A file shorter than the latency has left some of the lag to drop.
    writer.write(np.stack([stream.flush() for stream in streams], axis=1)[to_drop:])
    return metrics
