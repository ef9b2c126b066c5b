"""A place in a chain: its link, and everything that stands around it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from voxhop.chain.metrics import HopTally, LinkMetrics
from voxhop.chain.resampling import Queue, Resampler
from voxhop.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from voxhop.chain.links import Link, Stage

    Floats = npt.NDArray[np.float32]

_NO_FIGURES: Final = dict.fromkeys(
    ("gain_db", "delay_ms", "delay_confidence", "packets", "lost_packets")
)


@dataclass
class Controls:
    """What may change between blocks."""

    strength: float
    bypass: bool

    @property
    def share(self) -> float:
        """Of the link in its output."""
        return 0.0 if self.bypass else self.strength


class Slot:
    """Converts to the link's rate, cuts hops, and mixes the link with its input.

    Parameters
    ----------
    link, stage
        What to open and what was opened.
    before, in_rate
        Rate of what comes from before, and of the chain's reference, in Hz.

    Notes
    -----
    Sample n of everything given belongs to sample n of everything taken, at the two rates: the
    link's latency is dropped at the start. The link goes on while it is bypassed, so that it
    knows the past when it comes back; a share that changes does so in a straight line over a
    hop.
    """

    def __init__(self, link: Link, stage: Stage, before: int, in_rate: int) -> None:
        self.link, self.stage, self.clock = link, stage, stage.clock
        self._convert = Resampler(before, self.clock.rate)
        self._convert_ref = Resampler(in_rate, self.clock.rate)
        self._input, self._refs = Queue(self.clock.lead), Queue(self.clock.lead)
        self._dry = Queue(self.clock.latency)
        self._ramp = np.arange(1, self.clock.hop + 1, dtype=np.float32) / self.clock.hop
        self.reset()

    def reset(self) -> None:
        """Go back to the state of a new one, controls included."""
        self.stage.reset()
        for part in self._parts():
            part.reset()
        self.controls = Controls(self.link.strength, self.link.bypass)
        self._share = self.controls.share
        self._to_drop = self.clock.latency + self.clock.lead
        self.tally = HopTally(1000 * self.clock.hop / self.clock.rate)

    def run(self, samples: Floats, ref: Floats | None) -> Floats:
        """Return what ``(n,)`` samples and as many of the chain's reference complete.

        `ref` is of the same block of the chain; None where the link takes none.
        """
        self._input.push(self._convert.process(samples))
        if ref is not None:
            self._refs.push(self._convert_ref.process(ref))
        hops = list(self._hops())
        return np.concatenate(hops) if hops else np.zeros(0, np.float32)

    def _hops(self) -> Iterator[Floats]:
        hop, takes_ref = self.clock.hop, self.clock.takes_ref
        while len(self._input) >= hop and not (takes_ref and len(self._refs) < hop):
            out = self._hop(self._input.pop(hop), self._refs.pop(hop) if takes_ref else None)
            dropped = min(self._to_drop, hop)
            self._to_drop -= dropped
            yield out[dropped:]

    def _hop(self, samples: Floats, ref: Floats | None) -> Floats:
        start = time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):  # looked for below
            wet = self.stage.run(samples, ref)
        ms = 1000 * (time.perf_counter() - start)
        if not np.isfinite(wet).all():
            wet = np.zeros_like(wet)
            self.stage.reset()
            self.tally.failed += 1
        self._dry.push(samples)
        out = self._mixed(wet, self._dry.pop(self.clock.hop))
        self.tally.add(samples, out, ms)
        return out

    def _mixed(self, wet: Floats, dry: Floats) -> Floats:
        start, self._share = self._share, self.controls.share
        if start == self._share == 1:
            return wet
        if start == self._share == 0:
            return dry
        share = np.float32(start) + np.float32(self._share - start) * self._ramp
        return dry + share * (wet - dry)

    def metrics(self, latency: int) -> LinkMetrics:
        """Return its figures; `latency` is what it adds to the chain's."""
        tally = self.tally
        return LinkMetrics(
            **_NO_FIGURES | self.stage.figures(),
            name=self.link.name,
            kind=self.stage.kind,
            hops=tally.hops,
            failed_hops=tally.failed,
            late_hops=tally.late,
            hop_p50_ms=tally.time_ms(50),
            hop_p99_ms=tally.time_ms(99),
            load=tally.load,
            level_in_dbfs=tally.level_dbfs(0),
            level_out_dbfs=tally.level_dbfs(1),
            strength=self.controls.strength,
            bypassed=self.controls.bypass,
            latency_samples=latency,
        )

    def state(self) -> list[bytes]:
        """Return everything it remembers but for its figures."""
        head = np.array(
            [self._to_drop, self._share, self.controls.strength, self.controls.bypass], "<f8"
        )
        stage = self.stage.state()
        return [head.tobytes(), *(part.state() for part in self._parts()), *stage]

    def load_state(self, parts: list[bytes]) -> None:
        """Continue from `state`; figures start anew."""
        own = self._parts()
        head = np.frombuffer(parts[0], "<f8") if len(parts[0]) == 32 else np.zeros(0)  # noqa: PLR2004
        if len(head) == 0 or len(parts) <= len(own):
            raise StateError(f"link {self.link.name}: no state of a link")
        self.stage.load_state(tuple(parts[1 + len(own) :]))
        for part, blob in zip(own, parts[1:], strict=False):
            part.load_state(blob)
        self.controls = Controls(float(head[2]), bool(head[3]))
        self._to_drop, self._share = int(head[0]), float(head[1])
        self.tally = HopTally(self.tally.hop_ms)

    def _parts(self) -> tuple[Resampler | Queue, ...]:
        return self._convert, self._convert_ref, self._input, self._refs, self._dry
