"""The level of what a model hears: a causal follower that brings speech to a nominal peak.

Restoring models are trained on speech whose peak is near -6 dBFS. `LevelFollower` multiplies
each hop by a gain before the model and divides the output by the gain of the same samples, so
that the model hears its level and the listener the old one.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from voxhop.engine.arrays import FLOAT32, check_hop
from voxhop.errors import ArgumentError, StateError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

NOMINAL_PEAK: Final = 10 ** (-6 / 20)  # of the speech that restoring models are trained on
MAX_GAIN_DB: Final = 40.0
_QUIETEST: Final = 10 ** (-60 / 20)  # peaks below are no sound and change nothing
# Speech comes back near its peak several times a second; pauses are more than 20 dB below it
# and must not let the noise in them grow.
_PAUSE: Final = 10 ** (-20 / 20)
_SPEECH_DB_PER_S: Final = 6.0
_PAUSE_DB_PER_S: Final = 0.5
_STATE: Final = struct.Struct("<ddq")


class Level(Protocol):
    """What changes the level before a model, and changes it back behind it."""

    def lift(self, hop: Floats) -> Floats:
        """Return the next hop ``(hop_length,)`` as the model is to hear it."""

    def lower(self, out: Floats) -> Floats:
        """Return the model's output for that call, at the level of its input."""


class FixedLevel:
    """One gain for all samples.

    Parameters
    ----------
    peak
        Of the whole recording; silence is left alone. None: a gain of 1.
    """

    def __init__(self, peak: float | None = None) -> None:
        self._gain = np.float32(NOMINAL_PEAK / peak if peak else 1.0)

    def lift(self, hop: Floats) -> Floats:
        """Return the hop times the gain."""
        return hop * self._gain

    def lower(self, out: Floats) -> Floats:
        """Return the output divided by the gain."""
        return out / self._gain


class LevelFollower:
    """Follows the peak of speech as it comes and brings it to -6 dBFS.

    Parameters
    ----------
    hop_length
        Samples per hop, at least 1.
    sample_rate
        In Hz.
    latency_samples
        By how many the output lags the input beyond the hop itself, at least 0; a session's
        ``latency_samples``.

    Raises
    ------
    ArgumentError
        For sizes that are out of range.

    Notes
    -----
    The followed peak rises at once. It falls by 6 dB a second while hops are within 20 dB of
    it, by 0.5 dB a second in pauses, and not at all below -60 dBFS. The gain is at most 40 dB
    and moves in a straight line over a hop. A quieter copy of a stream, as far as it is above
    -60 dBFS, gets the same hops in front of its model, and the same output at its own level.

    Examples
    --------
    >>> level = LevelFollower(session.hop_length, 16000, session.latency_samples)
    >>> out = level.lower(session.process_hop(level.lift(hop)))
    """

    def __init__(self, hop_length: int, sample_rate: int, latency_samples: int) -> None:
        if hop_length < 1 or sample_rate < 1 or latency_samples < 0:
            raise ArgumentError(
                f"hop_length {hop_length}, sample_rate {sample_rate}, latency_samples "
                f"{latency_samples}: expected at least 1, 1 and 0"
            )
        self._hop, self._late = hop_length, latency_samples
        hop_db = hop_length / sample_rate / 20
        self._speech = float(10 ** (-_SPEECH_DB_PER_S * hop_db))
        self._pause = float(10 ** (-_PAUSE_DB_PER_S * hop_db))
        self._ramp = np.arange(1, hop_length + 1, dtype=np.float64) / hop_length
        self.reset()

    def reset(self) -> None:
        """Go back to the state of a new follower."""
        self._peak = 0.0  # 0: no sound yet
        self._gain = 1.0
        self._lifted = np.ones(self._late, np.float32)  # gains whose output is still to come

    @property
    def gain_db(self) -> float:
        """Gain at the end of the last hop, in dB."""
        return float(20 * np.log10(self._gain))

    def lift(self, hop: Floats) -> Floats:
        """Return a hop at the nominal level.

        Parameters
        ----------
        hop
            ``(hop_length,)`` float32 in about [-1, 1].

        Raises
        ------
        ShapeError, DtypeError
            For an array that does not fit.
        StateError
            After a `lift` without its `lower`.
        """
        check_hop("hop", hop, (self._hop,), FLOAT32)
        if len(self._lifted) > self._late:
            raise StateError("level: lift() twice, expected lower() between")
        silent = self._peak == 0
        self._follow(float(np.abs(hop).max()))
        gain = self._gain if self._peak == 0 else NOMINAL_PEAK / self._peak
        gain = min(gain, 10 ** (MAX_GAIN_DB / 20))
        start = gain if silent else self._gain
        gains = (start + (gain - start) * self._ramp).astype(np.float32)
        self._gain = gain
        self._lifted = np.concatenate((self._lifted, gains))
        return hop * gains

    def lower(self, out: Floats) -> Floats:
        """Return what the model made of the last lifted hop, at the level of its input.

        Parameters
        ----------
        out
            ``(hop_length,)`` float32, `latency_samples` behind that hop.

        Raises
        ------
        ShapeError, DtypeError
            For an array that does not fit.
        StateError
            Without a `lift` before.
        """
        check_hop("out", out, (self._hop,), FLOAT32)
        if len(self._lifted) == self._late:
            raise StateError("level: lower() without a lift() before it")
        gains, self._lifted = self._lifted[: self._hop], self._lifted[self._hop :]
        return out / gains

    def state(self) -> bytes:
        """Return everything it remembers, for `load_state`."""
        head = _STATE.pack(self._peak, self._gain, len(self._lifted))
        return head + self._lifted.astype("<f4").tobytes()

    def load_state(self, blob: bytes) -> None:
        """Continue from what a follower of the same sizes saved.

        Raises
        ------
        StateError
            When it is none; nothing is changed.
        """
        if len(blob) < _STATE.size:
            raise StateError(f"level: a state of {len(blob)} bytes, expected {_STATE.size} or more")
        peak, gain, count = _STATE.unpack_from(blob)
        expected = _STATE.size + 4 * self._late
        if count != self._late or len(blob) != expected:
            raise StateError(f"level: a state of {len(blob)} bytes, expected {expected}")
        self._peak, self._gain = peak, gain
        self._lifted = np.frombuffer(blob, "<f4", offset=_STATE.size).astype(np.float32)

    def _follow(self, peak: float) -> None:
        """Take in the peak of a hop."""
        if peak >= max(self._peak, _QUIETEST):
            self._peak = peak
        elif peak >= _QUIETEST:
            fall = self._speech if peak >= self._peak * _PAUSE else self._pause
            self._peak = max(peak, self._peak * fall)
