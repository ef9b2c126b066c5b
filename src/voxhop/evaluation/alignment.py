"""How late a system's output is, measured with clean speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

LARGEST_DELAY: Final = 4096  # samples; 256 ms at 16 kHz
LARGEST_LEAD: Final = 256


def measure_lag(speech: Array, out: Array) -> int:
    """Lag of `out` behind `speech` in samples, where their cross-correlation peaks.

    Polarity does not matter. Lags from -256 to 4096 are looked at; a system whose output is
    silent has none, which counts as 0. Both are differenced first: speech has its energy where
    a high-pass filter turns the phase, and the peak of the plain correlation was up to 32
    samples off for WebRTC.
    """
    size = 1 << (len(speech) + len(out)).bit_length()
    one, other = (np.fft.rfft(np.diff(x, prepend=x[:1]), size) for x in (speech, out))
    cross = np.fft.irfft(np.conj(one) * other, size)
    lags = np.concatenate([cross[-LARGEST_LEAD:], cross[: LARGEST_DELAY + 1]])
    strength = np.abs(lags)
    if not strength.any():
        return 0
    return int(np.argmax(strength)) - LARGEST_LEAD


def advance(signal: Array, lag: int, length: int) -> Array:
    """Return `length` samples of `signal` from sample `lag` on, zeros where there are none."""
    result = np.zeros(length, signal.dtype)
    start = max(lag, 0)
    shift = max(-lag, 0)
    piece = signal[start : start + length - shift]
    result[shift : shift + len(piece)] = piece
    return result
