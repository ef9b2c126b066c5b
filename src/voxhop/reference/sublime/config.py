"""The shape of a Sublime codec and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

from voxhop.errors import ArgumentError

PARTS = ("encoder", "frontend", "decoder")
MOST_PHASE_OFFSETS = 1024
MOST_SHARPNESS = 1.0
ENCODER_STACK_AFTER = 1  # the encoder's first block runs per mel frame, the others per code


class BlockShape(NamedTuple):
    """Channels of a convolution block: in, hidden, feed-forward, out."""

    c_in: int
    hidden: int
    ff: int
    c_out: int


class BandShape(NamedTuple):
    """A sub-band decoder: its first and last number of bins, kernels, factor per stage."""

    start_bins: int
    end_bins: int
    kernel_f: int
    kernel_t: int
    upsample: tuple[int, ...]


ENCODER = (BlockShape(160, 256, 120, 96), *(BlockShape(192, 384, 384, 192),) * 8)
VOCODER = (BlockShape(192, 256, 384, 192),) * 4 + (BlockShape(192, 256, 256, 192),) * 4
FRONTEND = (
    BlockShape(160, 512, 512, 256),
    *(BlockShape(256, 512, 512, 256),) * 2,
    *(BlockShape(512, 768, 832, 512),) * 8,
)
BANDS = (
    BandShape(20, 80, 5, 3, (2, 2)),
    BandShape(40, 160, 5, 3, (2, 2)),
    BandShape(60, 240, 3, 3, (4,)),
)


@dataclass(frozen=True)
class SublimeConfig:
    """Sizes and signal parameters; a part that has no blocks is not in the model.

    Attributes
    ----------
    enc
        Blocks of the encoder: the first runs per mel frame, the others per code frame.
    fe
        Blocks of the front-end of Track 2; ``fe_stack_after`` of them run per mel frame.
    voc
        Blocks of the vocoder.
    bands
        Sub-band decoders from low to high; their ends fill ``hop_length`` bins.
    width
        Channels of a value, which is what the vocoder reads.
    n_groups_a, n_groups_b
        Codes per frame in mode A, and what mode B adds.
    hop_length, mel_hop
        Samples per code frame and per mel frame, two of which make a code frame.
    lookahead_frames
        Code frames by which the front-end is late.
    phase_offsets
        Rows of the table of what the vocoder's phases are turned by, one of which a frame's
        codes choose; 0: phases stay as they are.
    sharpness, sharpness_bins
        By what share of their distance from the mean of so many bins on either side
        log-magnitudes are moved away from it, at equal energy, in frames of mode A and of both;
        0: they stay as they are.
    """

    enc: tuple[BlockShape, ...] = ENCODER
    fe: tuple[BlockShape, ...] = ()
    voc: tuple[BlockShape, ...] = VOCODER
    fe_stack_after: int = 3
    bands: tuple[BandShape, ...] = BANDS
    width: int = 192
    n_groups_a: int = 4
    n_groups_b: int = 20
    codebook_size: int = 32
    query_dim: int = 16
    features: int = 8
    expansion: float = 1.5
    sample_rate: int = 24000
    hop_length: int = 480
    mel_hop: int = 240
    mel_n_fft: tuple[int, int] = (480, 720)
    n_mels: tuple[int, int] = (64, 96)
    log_floor: float = 1e-5
    logmag_max: float = 7.0
    rms_eps: float = 1e-6
    lookahead_frames: int = 1
    phase_offsets: int = 0
    sharpness: tuple[float, float] = (0.0, 0.0)
    sharpness_bins: int = 12

    def __post_init__(self) -> None:
        mels, hop = sum(self.n_mels), self.hop_length
        checks = [
            (bool(self.parts), "enc, fe, voc: no blocks, expected some in one of them"),
            (hop == 2 * self.mel_hop > 0, f"hop_length: {hop}, expected twice {self.mel_hop}"),
            (
                min(self.mel_n_fft) >= self.mel_hop,
                f"mel.n_fft: {self.mel_n_fft}, expected at least {self.mel_hop}",
            ),
            (self.n_groups_a > 0 <= self.n_groups_b, "n_groups: expected groups in mode A"),
            (
                1 < self.codebook_size <= 256,  # noqa: PLR2004
                f"codebook_size: {self.codebook_size}, expected 2 to 256",
            ),
            (min(self.width, self.features) > 0, "width, features: expected more than 0"),
            (
                0 <= self.phase_offsets <= MOST_PHASE_OFFSETS,
                f"voc.phase_offsets: {self.phase_offsets}, expected 0 to {MOST_PHASE_OFFSETS}",
            ),
            (
                all(0 <= a <= MOST_SHARPNESS for a in self.sharpness),
                f"voc.sharpness: {self.sharpness}, expected 0 to {MOST_SHARPNESS}",
            ),
            (
                0 < self.sharpness_bins <= hop,
                f"voc.sharpness_bins: {self.sharpness_bins}, expected 1 to {hop}",
            ),
            *_chain("enc", self.enc, mels, ENCODER_STACK_AFTER),
            *_chain("fe", self.fe, mels, self.fe_stack_after),
            *_chain("voc", self.voc, self.width, None),
        ]
        if self.voc:
            checks += [
                (self.voc[-1].c_out > 0, "voc: expected channels"),
                (
                    sum(b.end_bins for b in self.bands) == hop,
                    f"voc.bands: {sum(b.end_bins for b in self.bands)} bins, expected {hop}",
                ),
            ]
            for i, b in enumerate(self.bands):
                good = b.start_bins * prod(b.upsample) == b.end_bins
                checks.append((good and b.kernel_f % 2 == 1, f"voc.bands.{i}: {b} does not fit"))
        for good, message in checks:
            if not good:
                raise ArgumentError(message)

    @property
    def parts(self) -> tuple[str, ...]:
        """Which of `PARTS` the model has."""
        blocks = (self.enc, self.fe, self.voc)
        return tuple(part for part, has in zip(PARTS, blocks, strict=True) if has)

    def only(self, *parts: str) -> SublimeConfig:
        """Return the configuration of a model that has these parts alone."""
        for part in parts:
            if part not in self.parts:
                raise ArgumentError(f"part {part!r}, expected one of {', '.join(self.parts)}")
        return replace(
            self,
            enc=self.enc if "encoder" in parts else (),
            fe=self.fe if "frontend" in parts else (),
            voc=self.voc if "decoder" in parts else (),
        )

    @property
    def n_groups(self) -> int:
        """Codes per frame in mode A+B."""
        return self.n_groups_a + self.n_groups_b

    @property
    def band_hidden(self) -> int:
        """Features inside a bottleneck."""
        return round(self.features * self.expansion)


def _chain(
    name: str, blocks: tuple[BlockShape, ...], width: int, stack_after: int | None
) -> list[tuple[bool, str]]:
    """Check that every block takes what the one before gives; stacking doubles it."""
    checks = []
    if blocks and stack_after is not None:
        good = 0 < stack_after <= len(blocks)
        checks.append((good, f"{name}.stack_after: {stack_after}, expected 1 to {len(blocks)}"))
    for i, block in enumerate(blocks):
        if i == stack_after:
            width *= 2
        checks.append(
            (
                block.c_in == width and min(block) > 0,
                f"{name}.blocks.{i}: {tuple(block)}, expected {width} inputs and no zero",
            )
        )
        width = block.c_out
    return checks
