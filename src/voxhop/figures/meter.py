"""Figures of an enhanced recording, gathered block by block in constant memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxhop.media.formats import Floats

    Powers = npt.NDArray[np.float64]

_FRAME_S: Final = 0.016
_ACTIVE: Final = 1e-5  # mean square, -50 dBFS: below typical speech, above a loopback's noise


@dataclass(frozen=True)
class Figures:
    """What a `Tally` amounts to; levels are mean powers in dB relative to full scale.

    Attributes
    ----------
    level_in_dbfs, level_out_dbfs
        Microphone and output; -inf for digital silence.
    ref_active_s
        Seconds in which the reference was above -50 dBFS.
    ref_active_reduction_db
        Power of the microphone over power of the output in those seconds. Near-end speech
        that is kept, and noise that is removed, count too, so this is the echo return loss
        enhancement only where the loudspeaker alone was heard. None without a reference.
    delay_ms, delay_confidence
        Of the echo behind the reference, 0 to 1. With ``delay_ms="auto"`` of the first
        stream at the end; else where the model most often looked in those seconds, to one
        hop, and the share of its attention within one hop of that. None where not found.
    """

    level_in_dbfs: float
    level_out_dbfs: float
    ref_active_s: float
    ref_active_reduction_db: float | None
    delay_ms: float | None
    delay_confidence: float | None


@dataclass
class Tally:
    """Sums over the frames of all channels of a recording; `Meter` adds to it."""

    channels: int = 0
    samples: int = 0
    active_s: float = 0.0
    energy_in: float = 0.0
    energy_out: float = 0.0
    active_in: float = 0.0
    active_out: float = 0.0
    looks: int = 0
    attention: dict[float, float] = field(default_factory=dict)

    def add_delay(self, delay_ms: float, confidence: float) -> None:
        """Count one look of the model's own alignment, while the reference sounds."""
        self.looks += 1
        self.attention[delay_ms] = self.attention.get(delay_ms, 0.0) + confidence

    def model_delay(self) -> tuple[float | None, float | None]:
        """Return where the model looked, and the share of its attention there."""
        if not self.looks:
            return None, None
        delay = max(self.attention, key=self.attention.__getitem__)
        hop_ms = 1000.0 * _FRAME_S * 1.5  # half a hop of slack
        near = sum(share for at, share in self.attention.items() if abs(at - delay) < hop_ms)
        return delay, near / self.looks

    def figures(self, delay: tuple[float | None, float | None]) -> Figures:
        """Return the figures of everything added so far, and of a delay and its confidence."""
        return Figures(
            level_in_dbfs=_db(self.energy_in, self.samples),
            level_out_dbfs=_db(self.energy_out, self.samples),
            ref_active_s=self.active_s / max(1, self.channels),
            ref_active_reduction_db=(
                _db(self.active_in, self.active_out) if self.active_in > 0 else None
            ),
            delay_ms=delay[0],
            delay_confidence=delay[1],
        )


class Meter:
    """Adds one microphone channel to a tally, in frames of 16 ms from the first sample.

    Parameters
    ----------
    tally
        Where frames are added.
    rate
        Of all signals, in Hz.
    """

    def __init__(self, tally: Tally, rate: int) -> None:
        self._tally, self._rate = tally, rate
        size = max(1, round(_FRAME_S * rate))
        self._size = size
        self._mic, self._ref, self._out = _Frames(size), _Frames(size), _Frames(size)
        # The output comes later than what it belongs to; energies wait here for it.
        self._energy_in = np.zeros(0)
        self._active = np.zeros(0, bool)
        tally.channels += 1

    def add_input(self, mic: Floats, ref: Floats | None) -> bool:
        """Count ``(n,)`` of microphone and reference; return whether the reference sounds."""
        energy = self._mic.add(mic)
        active = np.zeros(len(energy), bool)
        if ref is not None:
            active = self._ref.add(ref) > self._size * _ACTIVE
        self._energy_in = np.concatenate([self._energy_in, energy])
        self._active = np.concatenate([self._active, active])
        self._tally.samples += len(mic)
        self._tally.energy_in += _energy(mic)
        return bool(active.size and active[-1])

    def add_output(self, out: Floats) -> None:
        """Count the next ``(n,)`` of aligned output."""
        tally = self._tally
        tally.energy_out += _energy(out)
        energy = self._out.add(out)
        n = len(energy)
        active = self._active[:n]
        tally.active_s += float(np.count_nonzero(active)) * self._size / self._rate
        tally.active_in += float(self._energy_in[:n][active].sum())
        tally.active_out += float(energy[active].sum())
        self._energy_in, self._active = self._energy_in[n:], self._active[n:]


class _Frames:
    """Energies of a signal in whole frames."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest = np.zeros(0, np.float32)

    def add(self, block: Floats) -> Powers:
        """Return the energies of the frames that ``(n,)`` completes."""
        signal = np.concatenate([self._rest, block])
        whole = len(signal) // self._size * self._size
        self._rest = signal[whole:]
        frames = signal[:whole].reshape(-1, self._size)
        return np.asarray(np.square(frames, dtype=np.float64).sum(axis=1))


def _energy(signal: Floats) -> float:
    return float(np.square(signal, dtype=np.float64).sum())


def _db(energy: float, reference: float) -> float:
    """Return an energy ratio in dB; infinite where one of the two is nothing."""
    if energy <= 0:
        return -math.inf
    return math.inf if reference <= 0 else 10.0 * math.log10(energy / reference)
