"""Which packets of a recording were lost: traces, read, written and simulated."""

from __future__ import annotations

import functools
from bisect import bisect_left
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop.errors import ArgumentError, AudioFileError
from voxhop.media.partial import partial_beside

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from voxhop.stream.stream import Stream

_PACKET_MS: Final = 20.0  # what most calls send
_LONGEST_BURST_MS: Final = 120.0
_MOST_SHARE: Final = 0.9
_PER_LINE: Final = 50


@dataclass(frozen=True)
class LossTrace:
    """Packets in the order they were sent, and which of them did not arrive.

    Attributes
    ----------
    lost
        One flag per packet; what comes after the last one arrived.
    packet_ms
        Length of a packet, 1 to 1000 ms.

    Raises
    ------
    ArgumentError
        For a length out of range.

    Notes
    -----
    As a file: one ``0`` (arrived) or ``1`` (lost) per packet; white space and what follows a
    ``#`` do not count.
    """

    lost: tuple[bool, ...]
    packet_ms: float = _PACKET_MS

    def __post_init__(self) -> None:
        if not 1.0 <= self.packet_ms <= 1000.0:  # noqa: PLR2004 - as the text says
            raise ArgumentError(f"packet_ms: {self.packet_ms}, expected 1 to 1000")

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, packet_ms: float = _PACKET_MS) -> LossTrace:
        """Return the trace in a file.

        Raises
        ------
        AudioFileError
            When it cannot be read, or holds anything but zeros and ones.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise AudioFileError(f"{path}: cannot be read as a trace of losses: {error}") from error
        flags: list[bool] = []
        for number, line in enumerate(text.splitlines(), 1):
            marks = "".join(line.partition("#")[0].split())
            if strange := marks.strip("01"):
                raise AudioFileError(
                    f"{path}: line {number} has {strange[0]!r}, expected 0 (arrived) and 1 (lost)"
                )
            flags += [mark == "1" for mark in marks]
        return cls(tuple(flags), packet_ms)

    @classmethod
    def simulate(
        cls, share: float, seconds: float, *, packet_ms: float = _PACKET_MS, seed: int = 0
    ) -> LossTrace:
        """Return random losses: bursts of one packet up to 120 ms, far apart as `share` asks.

        Parameters
        ----------
        share
            Share of the packets to lose on average, 0 to 0.9.
        seconds
            Length of the recording.
        packet_ms, seed
            Length of a packet; the same seed gives the same losses.

        Raises
        ------
        ArgumentError
            For a share out of range.
        """
        if not 0.0 <= share <= _MOST_SHARE:
            raise ArgumentError(f"share: {share:g}, expected 0 to {_MOST_SHARE}")
        packet_ms = cls((), packet_ms).packet_ms  # checked
        count = ceil(1000.0 * seconds / packet_ms)
        longest = max(1, int(_LONGEST_BURST_MS / packet_ms))
        rng = np.random.default_rng(seed)
        flags: list[bool] = []
        while len(flags) < count:
            # Gaps and bursts take turns: share = burst / (gap + burst), by their means.
            gap = (1 + longest) / 2 * (1 - share) / share if share > 0 else count
            flags += [False] * int(np.floor(rng.exponential(gap) + rng.random()))
            flags += [share > 0] * int(rng.integers(1, longest + 1))
        return cls(tuple(flags[:count]), packet_ms)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the trace; the file appears when it is complete."""
        marks = "".join("01"[flag] for flag in self.lost)
        lines = [marks[at : at + _PER_LINE] for at in range(0, len(marks), _PER_LINE)]
        head = f"# packets of {self.packet_ms:g} ms, {_PER_LINE} a line: 0 arrived, 1 lost"
        partial = partial_beside(Path(path))
        try:
            partial.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @property
    def share(self) -> float:
        """Share of the packets that were lost, 0 for a trace of none."""
        return sum(self.lost) / max(1, len(self.lost))

    def runs(self, rate: int, start: int, frames: int) -> Iterator[tuple[int, bool]]:
        """Yield stretches of `frames` frames from frame `start` on: their length, and if lost.

        Parameters
        ----------
        rate
            Frames per second. A frame is of the packet in which its middle lies.
        start, frames
            The stretch of the recording.
        """
        per_packet, end, at = self.packet_ms * rate / 1000.0, start + frames, start
        # Bursts that end before the stretch, but for one in case of rounding, are passed over.
        first = max(0, bisect_left(self._bursts, start / per_packet, key=itemgetter(1)) - 1)
        for begin, stop in self._bursts[first:]:
            begin = max(ceil(begin * per_packet - 0.5), at)  # noqa: PLW2901 - packets to frames
            stop = min(ceil(stop * per_packet - 0.5), end)  # noqa: PLW2901 - the same
            if begin >= end:
                break
            if stop <= begin:
                continue
            if begin > at:
                yield begin - at, False
            yield stop - begin, True
            at = stop
        if end > at:
            yield end - at, False

    def spans(self) -> list[tuple[float, float]]:
        """Return start and end in seconds of every burst."""
        return [(a * self.packet_ms / 1000.0, b * self.packet_ms / 1000.0) for a, b in self._bursts]

    @functools.cached_property
    def _bursts(self) -> list[tuple[int, int]]:
        """First packet of every stretch that was lost, and the first after it."""
        found, at = [], 0
        for lost, packets in groupby(self.lost):
            count = len(list(packets))
            if lost:
                found.append((at, at + count))
            at += count
        return found


def process_runs(
    stream: Stream,
    mic: npt.NDArray[Any],
    ref: npt.NDArray[Any] | None,
    runs: Iterable[tuple[int, bool]],
) -> npt.NDArray[Any]:
    """Pass a block of which some was lost through a stream.

    Parameters
    ----------
    stream
        Where to.
    mic, ref
        As for `Stream.process`; what `mic` holds where it was lost is not looked at.
    runs
        What `LossTrace.runs` yields for the block.

    Returns
    -------
    numpy.ndarray
        What `Stream.process` and `Stream.process_lost` return, one after the other.
    """
    # Nothing at first, for the stream goes by the dtype of the last block.
    at, parts = 0, [stream.process(mic[:0], None if ref is None else ref[:0])]
    for frames, lost in runs:
        part = slice(at, at + frames)
        at += frames
        beside = None if ref is None else ref[part]
        if lost:
            parts.append(stream.process_lost(frames, beside))
        else:
            parts.append(stream.process(mic[part], beside))
    return np.concatenate(parts)


def received(mic: npt.NDArray[Any], runs: Iterable[tuple[int, bool]]) -> npt.NDArray[Any]:
    """Return a copy of a block that is zero where it was lost."""
    out, at = mic.copy(), 0
    for frames, lost in runs:
        if lost:
            out[at : at + frames] = 0
        at += frames
    return out
