"""Where the samples of a recording come from: arrays and files, at any rate, in any pairing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    from voxhop.media.formats import ChannelRule, Floats

_QUALITY: Final = "VHQ"
_SIDES: Final = 2  # parties of a call


class Source(Protocol):
    """Samples in blocks from the start, as `voxhop.io.AudioReader` has them."""

    rate: int
    channels: int
    frames: int

    def read(self, frames: int) -> Floats:
        """Return the next ``(frames, channels)``, fewer at the end, none after it."""


class ArraySource:
    """An array as a source.

    Parameters
    ----------
    samples
        ``(frames, channels)`` float32.
    rate
        In Hz.
    """

    def __init__(self, samples: Floats, rate: int) -> None:
        self._samples, self._at = samples, 0
        self.rate, self.channels, self.frames = rate, samples.shape[1], len(samples)

    def read(self, frames: int) -> Floats:
        """Return the next block."""
        block = self._samples[self._at : self._at + frames]
        self._at += len(block)
        return block


class OneChannel:
    """A source of one channel.

    Parameters
    ----------
    source
        Of any number of channels.
    channel
        The one to take; the mean of all when None.
    """

    channels = 1

    def __init__(self, source: Source, channel: int | None) -> None:
        self._source, self._channel = source, channel
        self.rate, self.frames = source.rate, source.frames

    def read(self, frames: int) -> Floats:
        """Return the next block."""
        block = self._source.read(frames)
        if self._channel is None:
            return np.asarray(block.mean(axis=1, keepdims=True))
        return np.ascontiguousarray(block[:, self._channel : self._channel + 1])


class Converter:
    """A stream of samples from one rate to another, exact in delay.

    Parameters
    ----------
    rate, to_rate
        In Hz.
    channels
        Of the blocks.
    """

    def __init__(self, rate: int, to_rate: int, channels: int) -> None:
        import soxr  # noqa: PLC0415 - not needed to import voxhop

        self._stream: Any = soxr.ResampleStream(rate, to_rate, channels, "float32", _QUALITY)
        self._channels = channels

    def convert(self, block: Floats, *, last: bool = False) -> Floats:
        """Return what is ready after ``(frames, channels)``; with `last`, everything."""
        flat = block[:, 0] if self._channels == 1 else block
        ready = self._stream.resample_chunk(np.ascontiguousarray(flat), last=last)
        return np.asarray(ready, np.float32).reshape(-1, self._channels)


class ConvertedSource:
    """A source at another rate.

    Parameters
    ----------
    source
        What to convert.
    rate
        The rate to give, in Hz.
    """

    def __init__(self, source: Source, rate: int) -> None:
        self._source = source
        self._converter: Converter | None = Converter(source.rate, rate, source.channels)
        self._waiting = np.zeros((0, source.channels), np.float32)
        self.rate, self.channels = rate, source.channels
        self.frames = -(-source.frames * rate // source.rate)

    def read(self, frames: int) -> Floats:
        """Return the next block."""
        while self._converter is not None and len(self._waiting) < frames:
            # As much of the source as lasts as long: memory follows the block.
            block = self._source.read(max(1, frames * self._source.rate // self.rate))
            more = self._converter.convert(block, last=not len(block))
            self._waiting = np.concatenate([self._waiting, more])
            if not len(block):
                self._converter = None
        block, self._waiting = self._waiting[:frames], self._waiting[frames:]
        return block


def at_rate(source: Source, rate: int) -> Source:
    """Return `source` itself or converted to `rate`."""
    return source if source.rate == rate else ConvertedSource(source, rate)


class Recording(Protocol):
    """Microphones and what each of them hears, in blocks of the same stretch of time.

    Attributes
    ----------
    rate, sides, frames
        Hz, microphones, and how long it is as far as its header says.
    """

    rate: int
    sides: int
    frames: int

    def read(self, frames: int) -> tuple[Floats, tuple[Floats | None, ...]]:
        """Return ``(n, sides)`` and a reference ``(n,)`` or None per side; n = 0 at the end."""


class SharedReference:
    """Microphone channels that hear the same loudspeaker.

    Parameters
    ----------
    mic
        The microphones, at the rate of the result.
    ref
        The loudspeaker, at any rate, or None; silence follows its end.
    rule
        Which channel is what.
    """

    def __init__(self, mic: Source, ref: Source | None, rule: ChannelRule) -> None:
        self._mic, self._rule = mic, rule
        self._ref = None if ref is None else at_rate(ref, mic.rate)
        self._channels = list(rule.mic_channels(mic.channels, has_ref=ref is not None))
        self.rate, self.sides, self.frames = mic.rate, len(self._channels), mic.frames

    def read(self, frames: int) -> tuple[Floats, tuple[Floats | None, ...]]:
        """Return the next block."""
        mic = self._mic.read(frames)
        if self._ref is None:
            ref = self._rule.reference(mic, None)
        else:
            block = self._ref.read(len(mic))
            ref = self._rule.reference(mic, np.pad(block, ((0, len(mic) - len(block)), (0, 0))))
        return mic[:, self._channels], (ref,) * self.sides


class CrossTalk:
    """The two channels of a call: each is the other's reference.

    Parameters
    ----------
    call
        One party per channel.
    name
        What messages call it.

    Raises
    ------
    ArgumentError
        Unless there are two channels.
    """

    def __init__(self, call: Source, name: str) -> None:
        if call.channels != _SIDES:
            found = f"{call.channels} channel{'s' if call.channels > 1 else ''}"
            raise ArgumentError(f"{name}: {found}, expected 2 for a call recording")
        self._call = call
        self.rate, self.sides, self.frames = call.rate, _SIDES, call.frames

    def read(self, frames: int) -> tuple[Floats, tuple[Floats | None, ...]]:
        """Return the next block."""
        block = self._call.read(frames)
        left, right = (np.ascontiguousarray(block[:, c]) for c in range(_SIDES))
        return block, (right, left)
