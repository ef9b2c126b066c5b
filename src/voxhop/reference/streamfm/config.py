"""The shape of a Stream.FM model and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from voxhop.errors import ArgumentError

TASKS = ("se", "derev", "codec_pf", "bwe", "stft_pr", "melvoc")
WINDOWS = ("sqrt_hann_periodic", "hann_periodic")
EMBED_SCALE = 16.0
MIN_FREQ_FOR_GROUPS = 16
FREQ_GROUPS = 4
_MAX_CHANNEL_GROUPS = 32


@dataclass(frozen=True)
class StreamFMConfig:
    """Sizes, task and signal parameters.

    Attributes
    ----------
    task
        One of `TASKS`: enhancement, dereverberation, codec post-filter, bandwidth
        extension, phase retrieval, Mel vocoding.
    nf
        Channels of the first level, a multiple of 4.
    ch_mult
        Channels of each level as multiples of nf.
    num_res_blocks
        Residual blocks per level.
    n_fft
        Window in samples; the hop is half of it, the bins are 0 to n_fft / 2 - 1.
    predictor
        Whether a predictor runs first; the flow then starts at its output and is
        conditioned on that and on the input.
    decoupled_rank
        0 for dense 3x3 convolutions, else the depthwise kernels per input channel.
    sigma_x, sigma_y
        Spread of the noise at the clean end and at the corrupted end.
    spread_bands, spread_frames, spread_hidden
        Where `spread_bands` is not 0, sigma_y is told from the corrupted spectrum: bands, frames
        that are looked at, units between the two layers.
    input_gain_db
        Gain that brings a nominal input to the level of training.
    default_solver
        A solver's name.
    learned_from
        Solver that a learned one (`LEARNED`) starts from; "" for none. A file has tableaus
        alone, wherever they came from.
    """

    task: str = "stft_pr"
    nf: int = 32
    ch_mult: tuple[int, ...] = (1, 2, 2, 2)
    num_res_blocks: int = 2
    sample_rate: int = 16000
    n_fft: int = 512
    window: str = "sqrt_hann_periodic"
    compress_exponent: float = 0.5
    compress_scale: float = 1.0
    time_dilation: int = 2
    sigma_x: float = 0.001
    sigma_y: float = 0.25
    predictor: bool = False
    decoupled_rank: int = 0
    n_mels: int = 80
    spread_bands: int = 0
    spread_frames: int = 4
    spread_hidden: int = 64
    input_gain_db: float = 0.0
    default_solver: str = "euler5"
    learned_from: str = ""

    def __post_init__(self) -> None:
        halvings = 1 << (len(self.ch_mult) - 1)
        checks = (
            (self.task in TASKS, f"task: {self.task!r}, expected one of {', '.join(TASKS)}"),
            (self.nf > 0 and self.nf % 4 == 0, f"nf: {self.nf}, expected a multiple of 4"),
            (bool(self.ch_mult) and min(self.ch_mult) > 0, f"ch_mult: {self.ch_mult}"),
            (
                self.n_fft > 0 and self.n_fft % (2 * halvings) == 0,
                f"n_fft: {self.n_fft}, expected a multiple of {2 * halvings}",
            ),
            (self.window in WINDOWS, f"window: {self.window!r}, expected {' or '.join(WINDOWS)}"),
            (0 < self.compress_exponent <= 1, f"compress_exponent: {self.compress_exponent}"),
            (self.compress_scale > 0, f"compress_scale: {self.compress_scale}"),
            (self.decoupled_rank >= 0, f"decoupled_rank: {self.decoupled_rank}"),
            (
                self.spread_bands == 0
                or (self.spread_bands > 0 and self.bins % self.spread_bands == 0),
                f"spread_bands: {self.spread_bands}, expected a divisor of {self.bins}",
            ),
            (
                self.spread_frames > 0 and self.spread_hidden > 0,
                f"spread_frames, spread_hidden: {self.spread_frames}, {self.spread_hidden}",
            ),
            (self.time_dilation > 0, f"time_dilation: {self.time_dilation}"),
        )
        for good, message in checks:
            if not good:
                raise ArgumentError(message)

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return self.n_fft // 2

    @property
    def bins(self) -> int:
        """Frequency bins: the Nyquist bin is left out."""
        return self.n_fft // 2

    @property
    def in_channels(self) -> int:
        """Real channels of the flow's input: x, the condition or both conditions."""
        return 6 if self.predictor else 4


def channel_groups(channels: int) -> int:
    """Return how many groups of channels share statistics."""
    return min(channels // 4, _MAX_CHANNEL_GROUPS)


def band_groups(bins: int) -> int:
    """Return how many sub-bands a level of so many bins has."""
    return FREQ_GROUPS if bins >= MIN_FREQ_FOR_GROUPS else 1
