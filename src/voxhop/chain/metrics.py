"""Figures of a chain and of each of its links."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

_TIMES: Final = 1024  # hops whose times are kept


@dataclass(frozen=True)
class LinkMetrics:
    """Figures of one link since the chain was opened or reset.

    Attributes
    ----------
    name, kind
        The link's name; ``"model"``, or what else it is.
    hops, failed_hops, late_hops
        Computed; without a finite output (they are silent, and the link starts anew); that
        took longer to compute than they last.
    hop_p50_ms, hop_p99_ms
        Wall time of the last thousand hops; None before the first.
    load
        Share of real time that these hops took, all in all; None before the first.
    level_in_dbfs, level_out_dbfs
        Mean powers in front of the link and behind it, strength included; -inf for silence.
    gain_db
        What the level follower gives now; None without one.
    delay_ms, delay_confidence
        Where the model looked for the echo in the last hop; None without an alignment.
    packets, lost_packets
        Of a codec; None for other links.
    strength, bypassed
        As they are set.
    latency_samples
        What the link adds to the latency of the chain, at the output's rate.
    """

    name: str
    kind: str
    hops: int
    failed_hops: int
    late_hops: int
    hop_p50_ms: float | None
    hop_p99_ms: float | None
    load: float | None
    level_in_dbfs: float
    level_out_dbfs: float
    gain_db: float | None
    delay_ms: float | None
    delay_confidence: float | None
    packets: int | None
    lost_packets: int | None
    strength: float
    bypassed: bool
    latency_samples: int


@dataclass(frozen=True)
class ChainMetrics:
    """Figures of a chain since it was opened or reset.

    Attributes
    ----------
    frames_in, frames_out
        Samples taken and given.
    nonfinite_samples
        Of the input that were not finite and counted as zero.
    clipped_samples
        Of an int16 output that were beyond full scale.
    load
        Share of real time that the links took together; None before the first hop.
    latency_samples, latency_ms
        Of the whole chain.
    links
        In order.
    """

    frames_in: int
    frames_out: int
    nonfinite_samples: int
    clipped_samples: int
    load: float | None
    latency_samples: int
    latency_ms: float
    links: tuple[LinkMetrics, ...]


class HopTally:
    """Counts the hops of a link.

    Parameters
    ----------
    hop_ms
        How long one lasts.
    """

    def __init__(self, hop_ms: float) -> None:
        self.hop_ms = hop_ms
        self.hops = self.failed = self.late = self.samples = 0
        self._energy = np.zeros(2)
        self._times: deque[float] = deque(maxlen=_TIMES)

    def add(self, before: Floats, after: Floats, ms: float) -> None:
        """Count a hop in front of the link and behind it, and its time."""
        self.hops += 1
        self.late += ms > self.hop_ms
        self.samples += len(before)
        self._energy += [np.square(x, dtype=np.float64).sum() for x in (before, after)]
        self._times.append(ms)

    def level_dbfs(self, side: int) -> float:
        """Return the mean power in front (0) or behind (1)."""
        energy = float(self._energy[side])
        return 10 * math.log10(energy / self.samples) if energy > 0 else -math.inf

    def time_ms(self, percentile: float) -> float | None:
        """Return a percentile of the kept times."""
        return float(np.percentile(self._times, percentile)) if self._times else None

    @property
    def load(self) -> float | None:
        """Share of real time."""
        return float(np.mean(self._times)) / self.hop_ms if self._times else None
