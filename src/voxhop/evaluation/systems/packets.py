"""What an application without a model does about lost packets: play the last one again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop.errors import ArgumentError

if TYPE_CHECKING:
    import numpy.typing as npt

    Signal = npt.NDArray[np.float32]

_LONGEST_MS: Final = 1000.0


class RepetitionSystem:
    """Repetition with fade: what arrived last, over and over, fading to silence.

    Parameters
    ----------
    packet_ms
        How much of what arrived last is repeated.
    fade_ms
        After how long nothing is left.
    """

    def __init__(self, *, packet_ms: float = 10.0, fade_ms: float = 100.0) -> None:
        for name, value in (("packet_ms", packet_ms), ("fade_ms", fade_ms)):
            if not 1.0 <= value <= _LONGEST_MS:
                raise ArgumentError(f"{name} {value:g}, expected 1 to {_LONGEST_MS:g}")
        self._packet_ms, self._fade_ms = packet_ms, fade_ms
        self.name = "repetition with fade"
        self.delay_samples: int | None = 0
        self.fingerprint = f"repetition of {packet_ms:g} ms, fade {fade_ms:g} ms"

    def process(self, mic: Signal, ref: Signal | None, sample_rate: int) -> Signal:
        """Return a copy: nothing was lost."""
        del ref, sample_rate
        return mic.copy()

    def conceal(
        self, mic: Signal, ref: Signal | None, lost: npt.NDArray[np.bool_], sample_rate: int
    ) -> Signal:
        """Fill every burst from the samples right before it."""
        del ref
        period = round(self._packet_ms * sample_rate / 1000.0)
        fade = round(self._fade_ms * sample_rate / 1000.0)
        out = mic.copy()
        edges = np.flatnonzero(np.diff(lost, prepend=False, append=False))
        for start, end in edges.reshape(-1, 2):
            before = mic[max(0, start - period) : start]
            if not len(before):
                continue
            age = np.arange(end - start)
            gain = np.clip(1.0 - age / fade, 0.0, 1.0)
            out[start:end] = before[age % len(before)] * gain
        return out
