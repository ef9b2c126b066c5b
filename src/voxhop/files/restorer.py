"""Recordings through restoring models, sample-aligned: the one way of arrays and of files."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from voxhop.engine.closing import Closing
from voxhop.engine.session import Session
from voxhop.errors import ArgumentError
from voxhop.figures.meter import Meter, Tally
from voxhop.media.sources import at_rate
from voxhop.stream.level import FixedLevel, LevelFollower

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voxhop.figures.meter import Figures
    from voxhop.media.formats import Floats
    from voxhop.media.sources import Source
    from voxhop.models import Model
    from voxhop.stream.level import Level

LevelRule = bool | Literal["peak", "follow", "off"]

_RULES: Final = {True: "peak", False: "off", "peak": "peak", "follow": "follow", "off": "off"}
_HOPS: Final = 16  # per block; bounds the memory of a pass


def level_rule(level: LevelRule) -> str:
    """Return ``"peak"``, ``"follow"`` or ``"off"``.

    Raises
    ------
    ArgumentError
        For anything else.
    """
    if not isinstance(level, (bool, str)) or level not in _RULES:
        raise ArgumentError(f"level: {level!r}, expected peak, follow, off, True or False")
    return _RULES[level]


def peaks_of(source: Source) -> list[float]:
    """Return the highest magnitude of each channel; reads the source to its end."""
    peaks = np.zeros(source.channels)
    while len(block := source.read(source.rate)):
        peaks = np.maximum(peaks, np.abs(block).max(axis=0))
    return [float(peak) for peak in peaks]


class RestoringPass(Closing):
    """One pass of a recording through a session per channel. A context manager; use once.

    Parameters
    ----------
    source
        What to restore, at any rate.
    model
        A loaded model with one audio input; the caller closes it.
    peaks
        Of the channels, for one gain each; an empty list leaves the level alone, None
        follows it.
    options
        What the sessions are opened with.

    Attributes
    ----------
    precision
        That the sessions compute in.

    Notes
    -----
    Sample i of all output belongs to sample i of the source at the model's rate.
    """

    def __init__(
        self,
        source: Source,
        model: Model,
        peaks: list[float] | None,
        options: dict[str, int | str],
    ) -> None:
        self._source = at_rate(source, model.sample_rate)
        self._tally = Tally()
        with contextlib.ExitStack() as stack:
            sessions = [
                stack.enter_context(Session(model, **options))  # type: ignore[arg-type]
                for _ in range(source.channels)
            ]
            self._channels = [
                _Channel(session, _level(session, peaks, i), Meter(self._tally, model.sample_rate))
                for i, session in enumerate(sessions)
            ]
            self._exit = stack.pop_all()
        self._hop, self._to_drop = sessions[0].hop_length, sessions[0].latency_samples
        self.precision = sessions[0].info.precision

    def blocks(self) -> Iterator[Floats]:
        """Yield the restored ``(n, channels)``, possibly empty, until all of it is there."""
        read = given = 0
        while len(block := self._source.read(_HOPS * self._hop)):
            read += len(block)
            whole = -(-len(block) // self._hop) * self._hop
            out = self._run(np.pad(block, ((0, whole - len(block)), (0, 0))), len(block))
            yield self._counted(out[: read - given])
            given += min(len(out), read - given)
        silence = np.zeros((self._hop, len(self._channels)), np.float32)
        while given < read:
            out = self._run(silence, 0)
            yield self._counted(out[: read - given])
            given += min(len(out), read - given)

    def figures(self) -> Figures:
        """Return the levels of everything so far; there is no reference in them."""
        return self._tally.figures((None, None))

    def close(self) -> None:
        """Close the sessions. May be repeated."""
        self._exit.close()

    def _run(self, block: Floats, sounding: int) -> Floats:
        """Return what whole hops, `sounding` samples of which are the source's, bring."""
        outs = [c.run(block[:, i], sounding) for i, c in enumerate(self._channels)]
        dropped = min(self._to_drop, len(block))
        self._to_drop -= dropped
        return np.stack(outs, axis=1)[dropped:]

    def _counted(self, out: Floats) -> Floats:
        for i, channel in enumerate(self._channels):
            channel.meter.add_output(out[:, i])
        return out


class _Channel:
    """A session, the level around it, and what counts both sides."""

    def __init__(self, session: Session, level: Level, meter: Meter) -> None:
        self._session, self._level, self.meter = session, level, meter

    def run(self, block: Floats, sounding: int) -> Floats:
        self.meter.add_input(block[:sounding], None)
        hops = np.ascontiguousarray(block).reshape(-1, self._session.hop_length)
        level, process = self._level, self._session.process_hop
        return np.concatenate([level.lower(process(level.lift(hop))) for hop in hops])


def _level(session: Session, peaks: list[float] | None, channel: int) -> Level:
    if peaks is None:
        return LevelFollower(session.hop_length, session.sample_rate, session.latency_samples)
    return FixedLevel(peaks[channel] if peaks else None)
