"""The shape of a Sublime in the few numbers that configurations choose."""

from __future__ import annotations

from dataclasses import dataclass

from voxhop.reference.sublime.config import BlockShape, SublimeConfig

_MELS = 160
Repeated = tuple[int, int, int]  # how many blocks, hidden channels, feed-forward channels


@dataclass(frozen=True)
class SublimeShape:
    """Sizes; the defaults are the published ones.

    Attributes
    ----------
    width : int
        Channels of a code frame in encoder and vocoder; even.
    first : tuple of int
        Hidden and feed-forward channels of the encoder's block per mel frame.
    encoder, vocoder : tuple of (count, hidden, feed-forward)
        Blocks per code frame.
    query_dim : int
        Channels of a query.
    features : int
        Maps of the sub-band decoders.
    phase_offsets : int
        Rows of the table that phases are turned by, a prime above the codes of a group: then
        the row is another one when a single code is.
    sharpness : tuple of float
        By which share levels are moved away from those around them when the codec speaks at 1
        and at 6 kbit/s, 0 to 1; nothing learns of it.
    frontend : bool
        Whether there is a front-end for noisy speech.
    frontend_width : int
        Channels of its code frames; even.
    frontend_fast, frontend_slow : tuple of (count, hidden, feed-forward)
        Its blocks per mel frame and per code frame.
    """

    width: int = 192
    first: tuple[int, int] = (256, 120)
    encoder: tuple[Repeated, ...] = ((8, 384, 384),)
    vocoder: tuple[Repeated, ...] = ((4, 256, 384), (4, 256, 256))
    query_dim: int = 16
    features: int = 8
    phase_offsets: int = 37
    sharpness: tuple[float, float] = (0.0, 0.0)
    frontend: bool = False
    frontend_width: int = 512
    frontend_fast: tuple[Repeated, ...] = ((3, 512, 512),)
    frontend_slow: tuple[Repeated, ...] = ((8, 768, 832),)

    @property
    def config(self) -> SublimeConfig:
        """The same in full."""
        half = self.width // 2
        fast = _blocks(_MELS, self.frontend_width // 2, self.frontend_fast)
        slow = _blocks(self.frontend_width, self.frontend_width, self.frontend_slow)
        return SublimeConfig(
            enc=(
                BlockShape(_MELS, *self.first, half),
                *_blocks(2 * half, self.width, self.encoder),
            ),
            fe=(*fast, *slow) if self.frontend else (),
            voc=_blocks(self.width, self.width, self.vocoder),
            fe_stack_after=len(fast),
            width=self.width,
            query_dim=self.query_dim,
            features=self.features,
            phase_offsets=self.phase_offsets,
            sharpness=self.sharpness,
        )

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples of a code frame."""
        return self.config.hop_length


def _blocks(c_in: int, width: int, repeated: tuple[Repeated, ...]) -> tuple[BlockShape, ...]:
    """Return blocks of one width; the first may take another."""
    sizes = [(hidden, ff) for count, hidden, ff in repeated for _ in range(count)]
    return tuple(
        BlockShape(width if i else c_in, hidden, ff, width) for i, (hidden, ff) in enumerate(sizes)
    )
