"""What a clipped microphone would have said, told by the samples around: float64 reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_toeplitz

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float64]

_PAST_S, _IDLE_S = 0.024, 1.0
_ORDER_S, _LEAST_ORDER, _MOST_ORDER = 0.002, 16, 64
TOLERANCE = 2.01 / 32768
_FALL = 5 * TOLERANCE
_LOWEST = 0.01
_RUNS = 3
_ROUNDS = 2
_MOST_SHARE, _MOST_UNKNOWN = 0.9, 1024
_MOST_GAIN = 3.0
_WHITE = 1e-4
_RIDGE = 1e-9
_SILENCE = 1e-10


class ClipLevel:
    """Finds the level that one polarity is cut at, if it is.

    The largest sample of the last second, where three stretches of two or more samples lie
    within 2 steps of 16 bits of it, and fall by ten on both sides: peaks that are round by
    themselves do not.
    """

    def __init__(self, rate: int) -> None:
        self._most_idle = round(_IDLE_S * rate)
        self._top, self._runs, self._idle = 0.0, 0, 0

    @property
    def level(self) -> float:
        """Where samples are cut; infinite where they are not."""
        return self._top if self._runs >= _RUNS and self._top >= _LOWEST else np.inf

    def add(self, x: Samples) -> None:
        """Look at a block, positive where this polarity is."""
        top = float(x.max(initial=0.0))
        if top > self._top + TOLERANCE:
            self._top, self._runs, self._idle = top, 0, 0
        touches = np.concatenate(([0], x >= self._top - TOLERANCE, [0])).astype(int)
        starts, ends = (np.flatnonzero(np.diff(touches) == turn) for turn in (1, -1))
        inside = (starts > 0) & (ends < len(x)) & (ends - starts >= 2)  # noqa: PLR2004
        low = self._top - _FALL
        flat = [
            x[i - 1] < low and x[j] < low for i, j in zip(starts[inside], ends[inside], strict=True)
        ]
        runs = sum(flat)
        if runs:
            self._runs, self._idle = min(self._runs + runs, 1000), 0
            return
        self._idle += len(x)
        if self._idle > self._most_idle:
            self._top, self._runs, self._idle = 0.0, 0, 0


class Declipper:
    """Restores samples that were cut, block by block, without a delay.

    In a block of samples x, whose cut ones U are unknown but for a bound, the residual of an
    autoregression over the block and 24 ms before it,

        E = sum_n (sum_k a_k x_{n-k})^2,    a_0 = 1, k = 0 to p,

    is least in U for given a (A. Janssen, R. Veldhuis, L. Vries, 1986), and a is the
    autoregression of x (its autocorrelation, Hann). Two rounds of both; what falls short of the
    level that it was cut at is put there.

    Parameters
    ----------
    rate
        Hz.
    """

    def __init__(self, rate: int) -> None:
        self._order = min(max(round(_ORDER_S * rate), _LEAST_ORDER), _MOST_ORDER)
        self._levels = {+1.0: ClipLevel(rate), -1.0: ClipLevel(rate)}
        self._past = np.zeros(round(_PAST_S * rate))

    def process(self, block: Samples) -> Samples:
        """Return a block, (n,), with what was cut restored."""
        out = np.array(block, np.float64)
        bounds = np.zeros(len(out))  # with the sign of the polarity; 0: not cut
        for sign, found in self._levels.items():
            found.add(sign * out)
            cut = sign * out >= found.level - TOLERANCE
            bounds[cut] = sign * found.level
        if 0 < np.count_nonzero(bounds) <= min(_MOST_SHARE * len(out), _MOST_UNKNOWN):
            self._restore(out, bounds)
        self._past = np.concatenate((self._past, out))[len(out) :]
        return out

    def _restore(self, out: Samples, bounds: Samples) -> None:
        x = np.concatenate((self._past, out))
        unknown = len(self._past) + np.flatnonzero(bounds)
        bound = bounds[bounds != 0]
        for _ in range(_ROUNDS):
            a = autoregression(x, self._order)
            if a is None:
                return
            found = np.sign(bound) * least_residual(x, a, unknown)
            x[unknown] = np.sign(bound) * found.clip(abs(bound), _MOST_GAIN * abs(bound))
        out[:] = x[len(self._past) :]


def autoregression(x: Samples, order: int) -> Samples | None:
    """Return a_0 = 1 to a_p of a segment; None of silence."""
    turn = 2 * np.pi * (np.arange(len(x)) + 0.5) / len(x)
    w = x * (0.5 - 0.5 * np.cos(turn))
    r = np.array([w[: len(w) - k] @ w[k:] for k in range(order + 1)])
    if r[0] < _SILENCE:
        return None
    r[0] *= 1 + _WHITE
    return np.concatenate(([1.0], solve_toeplitz(r[:-1], -r[1:])))


def least_residual(x: Samples, a: Samples, unknown: NDArray[np.int64]) -> Samples:
    """Return the unknown samples with which the residual from the first of them on is least."""
    p = len(a) - 1
    rows = np.arange(unknown[0], len(x))
    A = np.zeros((len(rows), len(x)))
    for k in range(p + 1):
        A[rows - unknown[0], rows - k] = a[k]
    known = x.copy()
    known[unknown] = 0.0
    G = A[:, unknown]
    normal = G.T @ G + _RIDGE * np.eye(len(unknown))
    return np.asarray(np.linalg.solve(normal, -G.T @ (A @ known)), np.float64)
