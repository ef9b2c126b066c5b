"""The shape of a SEFlow model and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from voxhop.errors import ArgumentError

WINDOW_SECONDS = 0.032
MAX_ENCODER_RMS_EPS = 1e6
RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
# Coarse edges in Hz, and into how many parts of equal width on the mel scale each is cut.
_COARSE = (0, 4000, 8000, 11025, 12000, 16000, 22050, 24000)
_PARTS = (22, 7, 3, 1, 3, 4, 1)
_BIN_HZ = 31.25


def rate_hop(sample_rate: int) -> int:
    """Return the samples of a hop: half of a window of 32 ms, in whole samples."""
    return round(WINDOW_SECONDS * sample_rate / 2)


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def published_edges(sample_rate: int) -> tuple[int, ...]:
    """Return the first bin of every band up to a rate, and the bins of that rate.

    Raises
    ------
    ArgumentError
        For a rate that is none of `RATES`.
    """
    if sample_rate not in RATES:
        raise ArgumentError(f"sample_rate: {sample_rate}, expected one of {RATES}")
    edges = [0]
    for (low, high), parts in zip(pairwise(_COARSE), _PARTS, strict=True):
        if 2 * high > sample_rate:
            break
        step = (_mel(high) - _mel(low)) / parts
        inner = (_mel(low) + step * (i + 1) for i in range(parts - 1))
        edges += [round(700 * (10 ** (m / 2595) - 1) / _BIN_HZ) for m in inner]
        edges.append(rate_hop(2 * high) + 1)
    return tuple(edges)


@dataclass(frozen=True)
class SEFlowConfig:
    """Sizes and signal parameters; the defaults are those of the published network.

    Attributes
    ----------
    depth, n_heads, head_dim
        B blocks, H heads of d values each: width D = H d. d is even.
    sample_rates
        Rates in Hz, of `RATES`; each takes the first bands of one list of bands.
    ffn_mult, dec_mult
        Hidden widths of the feed-forward layers and of the decoder, as multiples of D.
    time_window
        C: how many frames, itself included, a frame attends to.
    rope_base
        Of the rotary angles.
    rms_eps, log_eps
        Under the root of the norms; added to a bin's power before the logarithm.
    encoder_rms_eps
        Under the root of the norms before the encoder, 0 for `rms_eps`. Well above the squares
        of the features (the logarithm's, up to 133) it makes the encoder all but linear: levels
        reach the blocks as they are.
    vad
        Whether there is a voice activity decoder.
    """

    depth: int = 12
    n_heads: int = 4
    head_dim: int = 64
    sample_rates: tuple[int, ...] = RATES
    ffn_mult: int = 2
    dec_mult: int = 4
    time_window: int = 250
    rope_base: float = 10000.0
    rms_eps: float = 1e-6
    log_eps: float = 1e-10
    encoder_rms_eps: float = 0.0
    vad: bool = True
    band_edges: tuple[int, ...] = ()
    """First bin of every band, and the end of the last; empty: the published ones."""

    def __post_init__(self) -> None:
        if not self.sample_rates:
            raise ArgumentError("sample_rates: empty, expected at least one rate")
        if not self.band_edges:
            object.__setattr__(self, "band_edges", published_edges(max(self.sample_rates)))
        edges = self.band_edges
        for name in ("depth", "n_heads", "head_dim", "ffn_mult", "dec_mult", "time_window"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name}: {getattr(self, name)}, expected at least 1")
        if self.head_dim % 2:
            raise ArgumentError(f"head_dim: {self.head_dim}, expected an even number")
        if min(self.rope_base, self.rms_eps, self.log_eps) <= 0:
            raise ArgumentError("rope_base, rms_eps, log_eps: expected positive numbers")
        object.__setattr__(self, "encoder_rms_eps", self._of_the_encoder())
        if edges[0] != 0 or any(b <= a for a, b in pairwise(edges)):
            raise ArgumentError(f"band_edges: {edges}, expected numbers that rise from 0")
        for rate in self.sample_rates:
            if rate_hop(rate) + 1 not in edges[1:]:
                raise ArgumentError(
                    f"band_edges: no band ends with bin {rate_hop(rate)} ({rate} Hz)"
                )

    def _of_the_encoder(self) -> float:
        if not 0 <= self.encoder_rms_eps <= MAX_ENCODER_RMS_EPS:
            raise ArgumentError(
                f"encoder_rms_eps: {self.encoder_rms_eps}, expected 0 to {MAX_ENCODER_RMS_EPS:g}"
            )
        return self.encoder_rms_eps or self.rms_eps

    @property
    def width(self) -> int:
        """D, values per token."""
        return self.n_heads * self.head_dim

    @property
    def n_bands(self) -> int:
        """Bands of the highest rate."""
        return len(self.band_edges) - 1

    @property
    def band_widths(self) -> tuple[int, ...]:
        """Bins of each band."""
        return tuple(b - a for a, b in pairwise(self.band_edges))

    @property
    def default_rate(self) -> int:
        """Rate of a stream that asks for none."""
        return 16000 if 16000 in self.sample_rates else max(self.sample_rates)  # noqa: PLR2004

    def bands_at(self, sample_rate: int) -> int:
        """K of a rate.

        Raises
        ------
        ArgumentError
            For a rate that the model does not have.
        """
        if sample_rate not in self.sample_rates:
            raise ArgumentError(f"sample_rate: {sample_rate}, expected one of {self.sample_rates}")
        return self.band_edges.index(rate_hop(sample_rate) + 1)
