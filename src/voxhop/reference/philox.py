"""Noise by counter: Philox4x32-10, the same for any block length, thread count and rate.

numpy only. The counter of a bin is (frame low, frame high, bin, 0), the key the seed's two
halves; so a frame's noise depends on seed, frame and bin and nothing else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxhop.errors import ArgumentError

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_WORD = 1 << 32

Words = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]


def philox4x32(counter: Words, key: tuple[int, int]) -> Words:
    """Return the four words of Philox4x32-10 for each counter.

    Parameters
    ----------
    counter
        Four arrays of 32-bit words, kept in uint64.
    key
        Two 32-bit words.
    """
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = x0 * _MULTIPLIERS[0], x2 * _MULTIPLIERS[1]
        x0, x1, x2, x3 = (
            (p1 >> _SHIFT) ^ x1 ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> _SHIFT) ^ x3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) % _WORD, (k1 + _WEYL[1]) % _WORD
    return x0, x1, x2, x3


def complex_normal(seed: int, first_frame: int, frames: int, bins: int) -> NDArray[np.float64]:
    """Draw the noise of consecutive frames.

    Parameters
    ----------
    seed
        0 to 2^64 - 1.
    first_frame
        Index of the first frame in the stream.
    frames, bins
        How many.

    Returns
    -------
    ndarray, (frames, 2, bins) float64
        Real and imaginary parts, each of variance 1/2, rounded to float32 as the engine
        hands them on.

    Raises
    ------
    ArgumentError
        For a seed out of range.
    """
    if not 0 <= seed < _WORD**2:
        raise ArgumentError(f"seed: {seed}, expected 0 to 2^64 - 1")
    frame = np.arange(first_frame, first_frame + frames, dtype=np.uint64)[:, None]
    shape = (frames, bins)
    counter = (
        np.broadcast_to(frame & _LOW, shape),
        np.broadcast_to(frame >> _SHIFT, shape),
        np.broadcast_to(np.arange(bins, dtype=np.uint64), shape),
        np.zeros(shape, dtype=np.uint64),
    )
    w0, w1, _, _ = philox4x32(counter, (seed % _WORD, seed // _WORD))
    u1 = ((w0 >> np.uint64(8)).astype(np.float64) + 1) / (1 << 24)
    u2 = (w1 >> np.uint64(8)).astype(np.float64) / (1 << 24)
    radius, angle = np.sqrt(-np.log(u1)), 2 * np.pi * u2
    noise = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1)
    return noise.astype(np.float32).astype(np.float64)
