"""The engine's resampler as an object whose state can be saved, and a queue of samples."""

from __future__ import annotations

import functools
import math
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxhop._bindings import native
from voxhop.errors import StateError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

_COUNT: Final = struct.Struct("<q")


def _opened(rate: int, to_rate: int) -> Any:  # noqa: ANN401 - a vh_resampler *
    n = native()
    out = n.ffi.new("vh_resampler **")
    n.call(n.lib.vh_resampler_open, rate, to_rate, out)
    return n.own(out[0], n.lib.vh_resampler_close)


@functools.cache
def lookahead(rate: int, to_rate: int) -> int:
    """Return how many input samples beyond its own time an output sample needs."""
    return int(native().lib.vh_resampler_lookahead(_opened(rate, to_rate)))


class Resampler:
    """A stream of samples from one rate to another, exact in delay; equal rates pass through.

    Parameters
    ----------
    rate, to_rate
        In Hz.

    Raises
    ------
    EngineError
        For rates that the engine does not convert.
    """

    def __init__(self, rate: int, to_rate: int) -> None:
        self._handle = None if rate == to_rate else _opened(rate, to_rate)
        # Every so many input samples the filter is in the same phase.
        self._step = rate // math.gcd(rate, to_rate)
        reach = 0 if self._handle is None else 2 * lookahead(rate, to_rate)
        self._kept = reach + 2 * self._step
        self.reset()

    def reset(self) -> None:
        """Go back to the state of a new resampler."""
        if self._handle is not None:
            native().call(native().lib.vh_resampler_reset, self._handle)
        self._count = 0
        self._recent = np.zeros(0, np.float32)

    def process(self, samples: Floats) -> Floats:
        """Return what ``(n,)`` samples complete."""
        if self._handle is None:
            return samples
        self._count += len(samples)
        self._recent = np.concatenate((self._recent, samples[-self._kept :]))[-self._kept :]
        return self._convert(samples)

    def state(self) -> bytes:
        """Return everything it remembers: what came last, and how much in all."""
        return _COUNT.pack(self._count) + self._recent.astype("<f4").tobytes()

    def load_state(self, blob: bytes) -> None:
        """Continue from what a resampler between the same rates saved.

        Raises
        ------
        StateError
            When it is none.
        """
        if len(blob) < _COUNT.size or (len(blob) - _COUNT.size) % 4:
            raise StateError(f"resampler: a state of {len(blob)} bytes")
        (count,) = _COUNT.unpack_from(blob)
        recent = np.frombuffer(blob, "<f4", offset=_COUNT.size).astype(np.float32)
        expected = 0 if self._handle is None else min(count, self._kept)
        if count < 0 or len(recent) != expected or (self._handle is None and count):
            raise StateError(f"resampler: {len(recent)} samples of {count}, expected {expected}")
        self.reset()
        if self._handle is None:
            return
        # What was given out before depends on what it no longer has; from a whole number of
        # steps on, a new resampler that hears the same gives the same.
        first = -(-(count - len(recent)) // self._step) * self._step
        self._convert(np.ascontiguousarray(recent[first - (count - len(recent)) :]))
        self._count, self._recent = count, recent

    def _convert(self, samples: Floats) -> Floats:
        n, count = native(), len(samples)
        capacity = n.lib.vh_resampler_max_output(self._handle, count)
        out = np.empty(capacity, np.float32)
        written = n.ffi.new("int64_t *")
        source = n.ffi.from_buffer("float[]", samples) if count else n.ffi.new("float[]", 1)
        target = n.ffi.from_buffer("float[]", out)
        n.call(n.lib.vh_resampler_process, self._handle, source, count, target, capacity, written)
        return out[: written[0]]


class Queue:
    """Samples that wait, first in first out.

    Parameters
    ----------
    zeros
        How many it begins with.
    """

    def __init__(self, zeros: int = 0) -> None:
        self._zeros = zeros
        self.reset()

    def __len__(self) -> int:
        return len(self._waiting)

    def reset(self) -> None:
        """Go back to the zeros of the start."""
        self._waiting = np.zeros(self._zeros, np.float32)

    def push(self, samples: Floats) -> None:
        """Append ``(n,)``."""
        self._waiting = np.concatenate((self._waiting, samples))

    def pop(self, count: int) -> Floats:
        """Return the first `count`, which must be there."""
        first, self._waiting = self._waiting[:count], self._waiting[count:]
        return np.ascontiguousarray(first)

    def state(self) -> bytes:
        """Return what waits."""
        return self._waiting.astype("<f4").tobytes()

    def load_state(self, blob: bytes) -> None:
        """Take what waits from `state`."""
        if len(blob) % 4:
            raise StateError(f"queue: a state of {len(blob)} bytes, expected whole samples")
        self._waiting = np.frombuffer(blob, "<f4").astype(np.float32)
