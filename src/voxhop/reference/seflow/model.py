"""SEFlow: noise, reverberation, clipping and lost packets at seven rates, B x H networks in one.

B clips, T frames, H hop, N = 2 H window, F bins, K bands, D' width. Frame t ends with hop t, so
whole clips and single hops are the same computation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from voxhop.errors import ArgumentError, ShapeError
from voxhop.reference.overlap import overlap_add, periodic_window
from voxhop.reference.seflow.bands import BandDecoder, BandEncoder
from voxhop.reference.seflow.blocks import Block, Past, VoiceDecoder
from voxhop.reference.seflow.config import SEFlowConfig, rate_hop


class SEFlowState(NamedTuple):
    """Everything a stream remembers between hops; it fits its rate, depth and heads only."""

    history: Tensor  # (B, H): the hop before
    past: tuple[Past, ...]  # one per block
    overlap: Tensor  # (B, H): second half of the last frame
    frame: int  # index of the next frame, which rotary angles count by


class SEFlowOutput(NamedTuple):
    """Audio in streamed time, and how likely somebody speaks."""

    audio: Tensor  # (B, T*H): call t gives the samples before its own
    voice: Tensor | None  # (B, T), 0 to 1; None without a decoder for it


class Estimate(NamedTuple):
    """What the network makes of a spectrum."""

    spectrum: Tensor  # (2, F, B, T): real and imaginary part
    voice: Tensor | None  # (B, T) logits
    past: tuple[Past, ...]


class SEFlow(nn.Module):
    """All networks of a file.

    Parameters
    ----------
    config
        Sizes and signal parameters.
    """

    def __init__(self, config: SEFlowConfig) -> None:
        super().__init__()
        self.config = config
        self.enc, self.dec = BandEncoder(config), BandDecoder(config)
        self.blk = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.vad = VoiceDecoder(config) if config.vad else None

    def forward(
        self,
        audio: Tensor,
        state: SEFlowState | None = None,
        *,
        sample_rate: int | None = None,
        depth: int | None = None,
        heads: int | None = None,
        window: int | None = None,
    ) -> tuple[SEFlowOutput, SEFlowState]:
        """Enhance a clip or the next hops of a stream.

        Parameters
        ----------
        audio : Tensor, (B, T*H) f32 or f64
            Samples; lost packets are zeros.
        state
            What the previous call with the same options returned; None starts from silence.
        sample_rate
            Hz, one of the model's.
        depth, heads
            1 to the model's; all when None.
        window
            C, 1 to any; the configuration's when None.

        Raises
        ------
        ArgumentError, ShapeError
            For an option out of range, or audio of another shape.
        """
        rate = self.config.default_rate if sample_rate is None else sample_rate
        self.config.bands_at(rate)
        spectrum, history = analysis(audio, rate, None if state is None else state.history)
        past = None if state is None else state.past
        frame = 0 if state is None else state.frame
        e = self.estimate(
            spectrum, rate, depth=depth, heads=heads, window=window, past=past, frame=frame
        )
        clean = torch.complex(*e.spectrum.permute(0, 2, 3, 1))  # (B, T, F)
        out, overlap = synthesis(clean, rate, None if state is None else state.overlap)
        voice = None if e.voice is None else e.voice.sigmoid()
        after = SEFlowState(history, e.past, overlap, frame + spectrum.shape[1])
        return SEFlowOutput(out, voice), after

    def estimate(
        self,
        spectrum: Tensor,
        sample_rate: int,
        *,
        depth: int | None = None,
        heads: int | None = None,
        window: int | None = None,
        past: tuple[Past, ...] | None = None,
        frame: int = 0,
    ) -> Estimate:
        """Map a spectrum (B, T, F) complex to the clean one; options as `forward`."""
        c = self.config
        b, h, C = (
            _within(name, value, most)
            for name, value, most in (
                ("depth", depth, c.depth),
                ("heads", heads, c.n_heads),
                ("window", window, c.time_window),
            )
        )
        K, T = c.bands_at(sample_rate), spectrum.shape[1]
        x = self.enc(spectrum, K, h * c.head_dim)
        kept = 0 if past is None else past[0].keys.shape[1]
        over_time = self._phases(torch.arange(frame, frame + T), x)[:, None]
        over_bands = self._phases(torch.arange(K), x)
        mask = _banded(T, kept, C, x.device)
        left = []
        for i in range(b):
            block = self.blk[i]
            assert isinstance(block, Block)  # noqa: S101 - a module list does not say
            x, p = block.time(x, over_time, mask, None if past is None else past[i])
            keep = min(C - 1, kept + T)
            first = kept + T - keep
            left.append(Past(p.keys[:, first:], p.values[:, first:]))
            x = block.freq(x, over_bands)
        voice = None if self.vad is None else self.vad(x)
        return Estimate(self.dec(x), voice, tuple(left))

    def _phases(self, positions: Tensor, like: Tensor) -> Tensor:
        """Return exp(j p theta_i), (positions, 1, 1, d/2) complex; angles in float64."""
        d = self.config.head_dim
        theta = self.config.rope_base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
        angles = (positions.double()[:, None] * theta).remainder(2 * math.pi)
        full = torch.polar(torch.ones_like(angles), angles)[:, None, None]
        single = like.dtype == torch.float32
        return full.to(like.device, torch.complex64 if single else torch.complex128)


def _within(name: str, value: int | None, most: int) -> int:
    if value is None:
        return most
    if not 1 <= value <= most:
        raise ArgumentError(f"{name}: {value}, expected 1 to {most}")
    return value


def _banded(frames: int, kept: int, window: int, device: torch.device) -> Tensor:
    """(T, P + T) bool: frame t sees itself and the C - 1 before."""
    query = torch.arange(kept, kept + frames, device=device)[:, None]
    key = torch.arange(kept + frames, device=device)
    return (key <= query) & (key > query - window)


def analysis_window(sample_rate: int, like: Tensor) -> Tensor:
    """Root of the periodic Hann window, (N,); squares half a window apart sum to 1."""
    window = periodic_window("sqrt_hann_periodic", 2 * rate_hop(sample_rate))
    return window.to(like.device, like.dtype)


def analysis(
    audio: Tensor, sample_rate: int, history: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(B, T*H) samples -> spectrum (B, T, F) complex, and the last hop.

    The spectrum of a real signal is real at both ends, whatever rounding leaves there.
    """
    H = rate_hop(sample_rate)
    if audio.dim() != 2 or audio.shape[1] % H or not audio.shape[1]:  # noqa: PLR2004
        raise ShapeError(f"audio: shape {tuple(audio.shape)}, expected (B, T*{H})")
    if history is None:
        history = audio.new_zeros(audio.shape[0], H)
    samples = torch.cat((history, audio), dim=1)
    frames = samples.unfold(1, 2 * H, H) * analysis_window(sample_rate, audio)
    return torch.fft.rfft(frames, norm="ortho"), samples[:, -H:]


def synthesis(
    spectrum: Tensor, sample_rate: int, overlap: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(B, T, F) complex -> samples (B, T*H) in streamed time, and the second half left over."""
    frames = torch.fft.irfft(spectrum, n=2 * rate_hop(sample_rate), norm="ortho")
    audio, left = overlap_add(frames * analysis_window(sample_rate, spectrum.real), overlap)
    return audio.flatten(1), left


def random_seflow(config: SEFlowConfig, seed: int) -> SEFlow:
    """Return a model in which every weight matters and no value runs away.

    Parameters
    ----------
    config
        Sizes.
    seed
        The same seed gives the same weights. The global generator is left alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SEFlow(config).eval()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "norm" in name:
                    weight.copy_(1 + 0.2 * torch.randn_like(weight))
                elif name.endswith("bias"):
                    weight.copy_(0.1 * torch.randn_like(weight))
    return model
