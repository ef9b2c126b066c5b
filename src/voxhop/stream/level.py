"""The level of what a model hears: a causal follower that brings speech to a nominal peak.

Restoring models are trained on speech whose peak is near -6 dBFS. `LevelFollower` multiplies
each hop by a gain before the model and divides the output by the gain of the same samples, so
that the model hears its level and the listener the old one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from voxhop._bindings import native
from voxhop.engine.arrays import FLOAT32, check_hop, samples_pointer
from voxhop.engine.native_options import state_buffer
from voxhop.engine.owner import Owner

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

NOMINAL_PEAK: Final = 10 ** (-6 / 20)  # of the speech that restoring models are trained on


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


class LevelFollower(Owner):
    """Follows the peak of speech as it comes and brings it to -6 dBFS. A context manager.

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

    _noun = "level"
    _advice = "; save its state() and open another"

    def __init__(self, hop_length: int, sample_rate: int, latency_samples: int) -> None:
        n = native()
        out = n.ffi.new("vh_level **")
        n.call(n.lib.vh_level_open, hop_length, sample_rate, latency_samples, out)
        super().__init__(n.own(out[0], n.lib.vh_level_close))
        self._hop = hop_length

    def reset(self) -> None:
        """Go back to the state of a new follower."""
        self._call("reset")

    @property
    def gain_db(self) -> float:
        """Gain at the end of the last hop, in dB."""
        return float(native().lib.vh_level_gain_db(self._live_handle()))

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
        return self._changed("lift", "hop", hop)

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
        return self._changed("lower", "out", out)

    def state(self) -> bytes:
        """Return everything it remembers, for `load_state`."""
        size = native().lib.vh_level_state_size(self._live_handle())
        blob = bytearray(size)
        self._call("state_save", native().ffi.from_buffer(blob), size)
        return bytes(blob)

    def load_state(self, blob: bytes | bytearray | memoryview) -> None:
        """Continue from what a follower of the same sizes saved.

        Raises
        ------
        StateError
            When it is none; nothing is changed.
        """
        data = state_buffer(blob)
        self._call("state_load", data, len(data))

    def _changed(self, verb: str, name: str, samples: Floats) -> Floats:
        check_hop(name, samples, (self._hop,), FLOAT32)
        out = np.empty_like(samples)
        self._call(verb, samples_pointer(samples), samples_pointer(out), self._hop)
        return out
