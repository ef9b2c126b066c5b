"""A delay of the reference for echo that comes later than a model looks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxhop.models import Model

    Floats = npt.NDArray[np.float32]

_EARLY_MS: Final = 32.0  # an echo stays this far behind its reference, so that jitter is harmless
_MOST_MS: Final = 10_000.0


class Shift:
    """Delays a mono signal by what a program knows of its sound cards, as far as that helps.

    An echo within the first half of the model's window is left where it is: the model finds it
    there, and the stream follows it. A later one is brought to 32 ms after its reference.

    Parameters
    ----------
    model
        Whose window it is.
    sample_rate
        Of the signal, in Hz.

    Notes
    -----
    One thread may tell while another processes.
    """

    def __init__(self, model: Model, sample_rate: int) -> None:
        self._rate = sample_rate
        self._near_ms = model.info.window_ms / 2
        self._told_ms = 0.0
        self._waiting = np.zeros(0, np.float32)
        self._lock = threading.Lock()

    def tell(self, delay_ms: float) -> None:
        """Say how long after its reference the echo comes.

        Parameters
        ----------
        delay_ms
            0 to 10000. A change by no more than half of what is left alone changes nothing:
            programs tell this before every block, and what they measure jitters.

        Raises
        ------
        ArgumentError
            When it is out of range.
        """
        check_delay(delay_ms)
        if self._told_ms > 0.0 and abs(delay_ms - self._told_ms) <= self._near_ms / 2:
            return
        self._told_ms = float(delay_ms)
        wanted_ms = delay_ms - _EARLY_MS if delay_ms > self._near_ms else 0.0
        samples = round(wanted_ms * 1e-3 * self._rate)
        with self._lock:
            more = samples - len(self._waiting)
            if more > 0:
                self._waiting = np.concatenate((np.zeros(more, np.float32), self._waiting))
            else:
                self._waiting = self._waiting[-more:]

    def reset(self) -> None:
        """Forget what waits, not the delay."""
        with self._lock:
            self._waiting = np.zeros_like(self._waiting)

    def process(self, block: Floats) -> Floats:
        """Return as many samples, delayed."""
        with self._lock:
            if not len(self._waiting):
                return block
            both = np.concatenate((self._waiting, block))
            self._waiting = both[len(block) :]
        return both[: len(block)]


def check_delay(delay_ms: float) -> None:
    """Raise an `ArgumentError` for a delay beyond 0 to 10000 ms."""
    if not 0.0 <= delay_ms <= _MOST_MS:
        raise ArgumentError(f"stream_delay_ms: {delay_ms}, expected 0 to {_MOST_MS:g}")
