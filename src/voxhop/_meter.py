"""Figures of an enhanced recording, gathered hop by hop in constant memory."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop.session_info import ALIGN_TAP, read_delay

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxhop.session import Session

    Samples = npt.NDArray[np.float32]

_ACTIVE_DBFS: Final = -50.0  # below typical speech, above the noise of a loopback


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
        Where the model found the reference in the microphone in those seconds, to one hop,
        and the share of its attention within one hop of that. None without a reference.
    """

    level_in_dbfs: float
    level_out_dbfs: float
    ref_active_s: float
    ref_active_reduction_db: float | None
    delay_ms: float | None
    delay_confidence: float | None


@dataclass
class Tally:
    """Sums over the hops of all channels of a recording; `Meter` adds to it."""

    channels: int = 0
    samples: int = 0
    active_s: float = 0.0
    energy_in: float = 0.0
    energy_out: float = 0.0
    active_in: float = 0.0
    active_out: float = 0.0
    hop_ms: float = 0.0
    attention: npt.NDArray[np.float64] | None = None

    def figures(self) -> Figures:
        """Return the figures of everything added so far."""
        delay = confidence = None
        if self.attention is not None:
            delay, confidence = read_delay(self.attention, self.hop_ms)
        return Figures(
            level_in_dbfs=_db(self.energy_in, self.samples),
            level_out_dbfs=_db(self.energy_out, self.samples),
            ref_active_s=self.active_s / max(1, self.channels),
            ref_active_reduction_db=(
                _db(self.active_in, self.active_out) if self.active_in > 0 else None
            ),
            delay_ms=delay,
            delay_confidence=confidence,
        )


class Meter:
    """Adds the hops of one session to a tally.

    Parameters
    ----------
    session
        The session whose hops `add` is told of.
    tally
        Where they are added.
    """

    def __init__(self, session: Session, tally: Tally) -> None:
        self._session = session
        self._tally = tally
        self._hop = session.hop_length
        self._hop_s = session.hop_length / session.sample_rate
        # The output of a hop belongs to an earlier one; energies wait here for it.
        self._waiting: deque[tuple[float, bool]] = deque()
        self._lag_hops = session.latency_samples // session.hop_length
        self._has_attention = ALIGN_TAP in session.taps()
        self._threshold = session.hop_length * 10.0 ** (_ACTIVE_DBFS / 10.0)
        tally.channels += 1
        tally.hop_ms = 1000.0 * self._hop_s

    def add(self, mic: Samples, ref: Samples | None, out: Samples) -> None:
        """Count one hop that the session has just enhanced."""
        tally = self._tally
        active = ref is not None and float(np.dot(ref, ref)) > self._threshold
        if active and self._has_attention:
            weights = self._session.tap(ALIGN_TAP).astype(np.float64)
            tally.attention = weights if tally.attention is None else tally.attention + weights
        self._waiting.append((float(np.dot(mic, mic)), active))
        if len(self._waiting) <= self._lag_hops:
            return
        energy, was_active = self._waiting.popleft()
        left = float(np.dot(out, out))
        tally.samples += self._hop
        tally.energy_in += energy
        tally.energy_out += left
        if was_active:
            tally.active_s += self._hop_s
            tally.active_in += energy
            tally.active_out += left


def _db(energy: float, reference: float) -> float:
    """Return an energy ratio in dB; infinite where one of the two is nothing."""
    if energy <= 0:
        return -math.inf
    return math.inf if reference <= 0 else 10.0 * math.log10(energy / reference)
