"""The shape of a LocalVQE model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voxhop.reference.canceller import PARTITIONS
from voxhop.reference.filterbank import FILTERBANK_FFT, FILTERBANK_HOP

Shuffle = Literal["halves", "interleave"]

SPECTRUM_CHANNELS = 2
MASK_CHANNELS = 27
ENCODER_STAGES = 5
FAR_STAGES = 2
# No model comes near it; a damaged file does, and would ask for terabytes.
MAX_WIDTH = 65536
LOWEST_NOISE_DB = -60.0


@dataclass(frozen=True)
class LocalVQEConfig:
    """Widths, delay window and generation of a LocalVQE model.

    Parameters
    ----------
    version
        Generation: 1 has batch norms folded into its convolutions, ELU and a DCT
        filterbank; 2 has pre-norm blocks, ReLU6 and an STFT; 3 is 2 with SiLU.
    mic_channels, far_channels
        Channels of the input and of each encoder stage. The input has two: real and
        imaginary part.
    d_max
        Number of delays of the alignment, in frames of ``hop_length`` samples.
    align_hidden
        Channels of the alignment's projections.
    bottleneck_hidden
        Complex states of the S4D bottleneck.
    power_law_c
        Exponent of the magnitude compression of the features, in (0, 1].
    n_fft, hop_length, sample_rate
        Window and hop in samples, and the rate in Hz the weights were trained at.
    shuffle
        How a decoder doubles its frequency axis: ``"halves"`` puts the second half of
        the channels above the first (the published layout), ``"interleave"`` puts them
        on the odd bins.
    comfort_noise_db
        Level against the microphone's noise floor, -60 to 0, of the noise that fills the
        bins where an echo is suppressed; None for none.
    echo_partitions
        Partitions of 16 ms of the linear canceller in front of the network, 16, 32 or 48;
        0 for none. With it, four input channels of ``mic_channels`` mean that the network
        sees the echo that was taken beside what is left.
    echo_follower
        Whether the canceller has a follower for what moves fast.
    cancel_tones
        Whether steady tones are taken from the microphone before everything else.

    Raises
    ------
    ValueError
        For a value that no model of this family can have.
    """

    version: int = 2
    mic_channels: tuple[int, ...] = (2, 32, 40, 40, 40, 40)
    far_channels: tuple[int, ...] = (2, 32, 40)
    d_max: int = 32
    align_hidden: int = 32
    bottleneck_hidden: int = 162
    power_law_c: float = 0.3
    n_fft: int = FILTERBANK_FFT
    hop_length: int = FILTERBANK_HOP
    sample_rate: int = 16000
    shuffle: Shuffle = "halves"
    comfort_noise_db: float | None = None
    echo_partitions: int = 0
    echo_follower: bool = False
    cancel_tones: bool = False

    def __post_init__(self) -> None:
        """Refuse impossible values by name."""
        _require("version", self.version, "1, 2 or 3", ok=self.version in (1, 2, 3))
        _require(
            "mic_channels",
            self.mic_channels,
            f"2 (4 with echo_partitions) and then {ENCODER_STAGES} widths of 1 to {MAX_WIDTH}",
            ok=_widths_ok(self.mic_channels, ENCODER_STAGES, echo=self.echo_partitions > 0),
        )
        _require(
            "far_channels",
            self.far_channels,
            f"2 and then {FAR_STAGES} widths of 1 to {MAX_WIDTH}",
            ok=_widths_ok(self.far_channels, FAR_STAGES),
        )
        for name in ("d_max", "align_hidden", "bottleneck_hidden", "sample_rate"):
            value = getattr(self, name)
            _require(name, value, f"1 to {MAX_WIDTH}", ok=1 <= value <= MAX_WIDTH)
        c = self.power_law_c
        _require("power_law_c", c, "in (0, 1]", ok=0.0 < c <= 1.0)
        _require("n_fft", self.n_fft, "512", ok=self.n_fft == FILTERBANK_FFT)
        _require("hop_length", self.hop_length, "256", ok=self.hop_length == FILTERBANK_HOP)
        ok = self.shuffle in ("halves", "interleave")
        _require("shuffle", self.shuffle, "'halves' or 'interleave'", ok=ok)
        noise = self.comfort_noise_db
        ok = noise is None or LOWEST_NOISE_DB <= noise <= 0.0
        _require("comfort_noise_db", noise, f"{LOWEST_NOISE_DB:g} to 0, or None", ok=ok)

        partitions = self.echo_partitions
        ok = partitions in (0, *PARTITIONS) and not (partitions and self.version == 1)
        _require("echo_partitions", partitions, "0, or 16, 32 or 48 from version 2 on", ok=ok)
        follower = self.echo_follower
        ok = follower in (True, False) and (partitions > 0 or not follower)
        _require("echo_follower", follower, "true only with echo_partitions", ok=ok)
        _require(
            "cancel_tones",
            self.cancel_tones,
            "true or false",
            ok=self.cancel_tones in (True, False),
        )

    @property
    def sees_echo(self) -> bool:
        """Whether the microphone's encoder also sees the echo that the canceller took."""
        return self.mic_channels[0] == 2 * SPECTRUM_CHANNELS

    @property
    def n_freq_bins(self) -> int:
        """Frequency bins F of a frame."""
        return self.n_fft // 2

    @property
    def bottleneck_bins(self) -> int:
        """Frequency positions left after the encoder's halvings."""
        return self.n_freq_bins >> ENCODER_STAGES

    @property
    def latency_samples(self) -> int:
        """How far the streamed output lags its input, in samples."""
        return self.hop_length


def _widths_ok(channels: tuple[int, ...], stages: int, *, echo: bool = False) -> bool:
    inputs = (SPECTRUM_CHANNELS, 2 * SPECTRUM_CHANNELS) if echo else (SPECTRUM_CHANNELS,)
    return (
        len(channels) == stages + 1
        and channels[0] in inputs
        and all(1 <= width <= MAX_WIDTH for width in channels)
    )


def _require(name: str, found: object, expected: str, *, ok: bool) -> None:
    if not ok:
        raise ValueError(f"{name}: {found!r}, expected {expected}")
