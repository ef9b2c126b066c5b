"""A codec as a link: encode, lose packets, decode and conceal."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from voxhop.chain.clock import LinkClock
from voxhop.chain.links import check_strength, identity_of
from voxhop.codec.packing import groups_of
from voxhop.engine.arrays import FLOAT32
from voxhop.errors import ArgumentError, StateError
from voxhop.files.offline import opened

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from voxhop.files.offline import ModelSource

    Floats = npt.NDArray[np.float32]

_NOT_SENT: Final = 255
_STATE: Final = struct.Struct("<qq?")
_CHANGING: Final = ("kbps", "loss", "burst")


@dataclass(frozen=True)
class CodecLink:
    """A speech codec and the network behind it, a packet per frame of 20 ms.

    Attributes
    ----------
    model
        A codec with encoder and decoder: what `voxhop.load` takes, or a loaded model.
    name, strength, bypass
        As for `ModelLink`.
    kbps
        6 or 1.
    loss
        Share of packets that do not arrive, 0 to below 1; they are concealed.
    burst
        Mean length of a stretch of lost packets, at least 1. 0: each packet is lost on its own.
    seed
        Of the losses, 0 to 2^63 - 1; the same seed loses the same packets.
    enhance
        Encode by the front-end for noisy speech, one frame later.
    options
        Of both sessions.

    Raises
    ------
    ArgumentError
        For values out of range.
    """

    model: ModelSource
    name: str = "codec"
    kbps: int = 6
    loss: float = 0.0
    burst: float = 0.0
    seed: int = 0
    enhance: bool = False
    strength: float = 1.0
    bypass: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_strength(self.name, self.strength)
        groups_of(self.kbps)
        if not 0 <= self.seed < 1 << 63:
            raise ArgumentError(f"link {self.name}: seed {self.seed}, expected 0 to 2^63 - 1")
        _Losses(self.loss, self.burst, self.seed)

    def open(self) -> CodecStage:
        """Return new sessions of encoder and decoder."""
        return CodecStage(self)

    def identity(self) -> str:
        """Return the model and how it is used; what may change while running is not in it."""
        return identity_of(self.model, self.options, f"{self.seed} {self.enhance}")


class CodecStage:
    """Two sessions, and the packets between them."""

    kind: ClassVar[str] = "codec"

    def __init__(self, link: CodecLink) -> None:
        part = "front-end" if link.enhance else "encoder"
        with opened(link.model) as model:
            if model.info.purpose != "codec":
                raise ArgumentError(
                    f"link {link.name}: {model.info.architecture}, expected a speech codec"
                )
            self._encoder = model.session(part=part, **link.options)
            try:
                self._decoder = model.session(part="decoder", **link.options)
            except Exception:
                self._encoder.close()
                raise
        # A frame's codes are ready half a frame after its start, and decode to the frame before.
        lead, hop = self._encoder.inputs[0].lead_count, self._encoder.hop_length
        self._late_frames = self._encoder.latency_samples // hop
        late = hop - lead + self._encoder.latency_samples
        self._clock = LinkClock(self._encoder.sample_rate, hop, late, lead=lead)
        self._kbps, self._losses = link.kbps, _Losses(link.loss, link.burst, link.seed)
        self._changed: dict[str, Any] = {}
        self._hops = 0

    @property
    def clock(self) -> LinkClock:
        """The codec's."""
        return self._clock

    def run(self, hop: Floats, ref: Floats | None) -> Floats:
        """Send a hop as a packet, and return what the far side hears."""
        del ref  # a codec hears none
        codes = self._encoder.process_hop(hop)
        self._hops += 1
        if self._hops <= self._late_frames:  # no frame of the stream yet
            return np.zeros(self._clock.hop, FLOAT32)
        if self._losses.next_is_lost():
            nothing: Any = None
            return self._decoder.process_hop(nothing, lost=True)
        kept: npt.NDArray[Any] = np.full(self._decoder.inputs[0].count, _NOT_SENT, np.uint8)
        groups = groups_of(self._kbps)
        kept[:groups] = codes[:groups]
        return self._decoder.process_hop(kept)

    def figures(self) -> dict[str, Any]:
        """Return the packets so far."""
        return {"packets": self._losses.count, "lost_packets": self._losses.lost}

    def reset(self) -> None:
        """Go back to the state of a new one."""
        self._encoder.reset()
        self._decoder.reset()
        self._losses.reset()
        self._hops = 0

    def state(self) -> tuple[bytes, ...]:
        """Return both sessions' and the losses'."""
        own = _STATE.pack(self._hops, self._losses.count, self._losses.bad)
        return own, self._encoder.state(), self._decoder.state()

    def load_state(self, parts: tuple[bytes, ...]) -> None:
        """Continue from `state`."""
        own, encoder, decoder = parts
        if len(own) != _STATE.size:
            raise StateError(f"codec: a state of {len(own)} bytes, expected {_STATE.size}")
        self._encoder.load_state(encoder)
        self._decoder.load_state(decoder)
        self._hops, count, bad = _STATE.unpack(own)
        self._losses.go_on(count, bad=bad)

    def set_options(self, **values: Any) -> None:  # noqa: ANN401 - numbers, checked here
        """Change ``kbps``, ``loss`` or ``burst``."""
        if unknown := sorted(set(values) - set(_CHANGING)):
            raise ArgumentError(f"{unknown[0]}: of a codec only {', '.join(_CHANGING)} may change")
        kbps = values.get("kbps", self._kbps)
        groups_of(kbps)
        losses = self._losses
        losses.set(values.get("loss", losses.loss), values.get("burst", losses.burst))
        self._kbps = kbps
        self._changed |= values

    def changed_options(self) -> dict[str, Any]:
        """Return what `set_options` has changed."""
        return dict(self._changed)

    def close(self) -> None:
        """Close both sessions."""
        self._encoder.close()
        self._decoder.close()


class _Losses:
    """Which packets are lost: Gilbert's two states, drawn by the packet's number."""

    def __init__(self, loss: float, burst: float, seed: int) -> None:
        self._seed = seed
        self.set(loss, burst)
        self.reset()

    def set(self, loss: float, burst: float) -> None:
        """Take other figures from the next packet on."""
        if not 0 <= loss < 1:
            raise ArgumentError(f"loss: {loss!r}, expected 0 to below 1")
        if burst != 0 and not burst >= 1:
            raise ArgumentError(f"burst: {burst!r}, expected 0, or 1 and more")
        # The mean stretch of good packets is burst * (1 - loss) / loss, and at least one.
        if burst and loss > burst / (burst + 1):
            raise ArgumentError(
                f"loss {loss}: with a burst of {burst}, expected at most {burst / (burst + 1):.3f}"
            )
        self.loss, self.burst = loss, burst

    def reset(self) -> None:
        """Begin with the first packet, in the good state."""
        self.count = self.lost = 0
        self.bad = False

    def go_on(self, count: int, *, bad: bool) -> None:
        """Go on behind so many packets; the lost ones are counted anew."""
        self.count, self.lost, self.bad = count, 0, bad

    def next_is_lost(self) -> bool:
        """Draw the next packet."""
        generator = np.random.Generator(np.random.Philox(key=self._seed, counter=self.count))
        u = generator.random()
        if not self.burst:
            self.bad = u < self.loss
        elif self.bad:
            self.bad = u >= 1 / self.burst
        else:
            self.bad = u < self.loss / ((1 - self.loss) * self.burst)
        self.count += 1
        self.lost += self.bad
        return self.bad
