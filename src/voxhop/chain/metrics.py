"""Figures of a chain and of each of its links."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Final

from voxhop._bindings import native

_COUNTS: Final = ("packets", "lost_packets")  # below zero where a link has none


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
        Wall time of a hop; None before the first.
    load
        Share of real time that the hops took, all in all; None before the first.
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
    precision
        That it computes in, ``"f32"`` and so on; of a codec, its decoder.
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
    precision: str


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


def link_metrics(raw: Any, name: str, kind: str) -> LinkMetrics:  # noqa: ANN401 - from C
    """Return the figures of a ``vh_chain_link_metrics``."""
    precision = native().text(raw.precision)
    known: dict[str, Any] = {"name": name, "kind": kind, "precision": precision}
    for field in fields(LinkMetrics):
        if field.name not in known:
            value = getattr(raw, field.name)
            missing = value < 0 if field.name in _COUNTS else math.isnan(value)
            known[field.name] = None if missing else value
    known["bypassed"] = bool(known["bypassed"])
    return LinkMetrics(**known)
