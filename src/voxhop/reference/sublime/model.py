"""Sublime: a speech codec of 1 and 6 kbit/s, and its front-end for noisy speech.

B batch, N samples, M mel frames, T code frames, G groups, K codes per group. Any split of a
recording into calls gives the same result, so whole recordings and streams are one thing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.errors import ArgumentError, ShapeError
from voxhop.reference.mel import slaney_filters
from voxhop.reference.memory import Memory, NetworkState
from voxhop.reference.overlap import overlap_add, periodic_window
from voxhop.reference.rms_norm import RMSNorm
from voxhop.reference.savq import SAVQ, nearest
from voxhop.reference.sublime.blocks import BandDecoder, CausalConv2d, ConvBlock, name_histories
from voxhop.reference.sublime.config import ENCODER_STACK_AFTER, BlockShape, SublimeConfig

_OUT_KERNEL = (3, 3)
_OFFSET_SEED = 1
_OFFSETS_HZ = (1500.0, 2500.0)


class MelState(NamedTuple):
    """What features remember between calls."""

    history: Tensor  # (B, longest window - mel hop): samples before the next frame's hop
    pending: Tensor  # (B, less than a mel hop): samples that make no frame yet


class NetworkPast(NamedTuple):
    """What the network of an encoder remembers between calls."""

    convolutions: NetworkState
    halves: Tensor  # (B, C, 1 or 0): the older half of the next code frame, where it is there


class EncoderState(NamedTuple):
    """Everything an encoder remembers between calls."""

    mel: MelState
    network: NetworkPast
    frames: int  # code frames that the network has given


class DecoderState(NamedTuple):
    """Everything a decoder remembers between calls."""

    convolutions: NetworkState
    overlap: Tensor  # (B, hop): second half of the last frame


class MelFilters(nn.Module):
    """One window length and its mel filters, (mels, bins)."""

    weight: Tensor
    window: Tensor

    def __init__(self, n_fft: int, mels: int, sample_rate: int) -> None:
        super().__init__()
        filters = slaney_filters(n_fft // 2 + 1, mels, sample_rate).T
        self.register_buffer("weight", torch.as_tensor(filters, dtype=torch.float32).contiguous())
        window = periodic_window("hann_periodic", n_fft)
        self.register_buffer("window", window, persistent=False)

    def forward(self, samples: Tensor, hop: int) -> Tensor:
        """(B, n_fft - hop + M*hop) -> mel magnitudes (B, M, mels)."""
        frames = samples.unfold(1, self.window.shape[0], hop) * self.window.to(samples.dtype)
        return torch.fft.rfft(frames).abs() @ self.weight.T


class LogMel(nn.Module):
    """Log-mel features of two window lengths that end at the same newest sample."""

    def __init__(self, config: SublimeConfig) -> None:
        super().__init__()
        self.hop, self.floor = config.mel_hop, config.log_floor
        self.lengths, self.mels = config.mel_n_fft, sum(config.n_mels)
        for name, n_fft, mels in zip("ab", config.mel_n_fft, config.n_mels, strict=True):
            self.add_module(name, MelFilters(n_fft, mels, config.sample_rate))

    def forward(self, audio: Tensor, state: MelState | None = None) -> tuple[Tensor, MelState]:
        """Any number of samples (B, N) -> features of what is complete, (B, mels, M)."""
        if audio.dim() != 2:  # noqa: PLR2004
            raise ShapeError(f"audio: shape {tuple(audio.shape)}, expected (B, N)")
        longest, hop = max(self.lengths), self.hop
        if state is None:
            zeros = audio.new_zeros(audio.shape[0], longest - hop)
            state = MelState(zeros, zeros[:, :0])
        samples = torch.cat((*state, audio), dim=1)
        M = (samples.shape[1] - (longest - hop)) // hop
        used = samples[:, : longest - hop + M * hop]
        if M:
            mels = [
                self.get_submodule(name)(used[:, longest - n :], hop)
                for name, n in zip("ab", self.lengths, strict=True)
            ]
            features = torch.cat(mels, dim=2).clamp_min(self.floor).log().transpose(1, 2)
        else:
            features = audio.new_zeros(audio.shape[0], self.mels, 0)
        return features, MelState(used[:, M * hop :], samples[:, used.shape[1] :])


class FrameEncoder(nn.Module):
    """Blocks per mel frame, pairs of frames stacked, blocks per code frame, a projection.

    Code frame t joins mel frames 2t - 1 and 2t, so that it is ready 10 ms before its second
    half ends; before the first frame stands a half of zeros, as the blocks' output.

    Parameters
    ----------
    blocks
        Shapes.
    stack_after
        How many of them run per mel frame.
    head
        Name and outputs of the projection.
    eps
        Of the norms.
    """

    def __init__(
        self, blocks: tuple[BlockShape, ...], stack_after: int, head: tuple[str, int], eps: float
    ) -> None:
        super().__init__()
        for i, shape in enumerate(blocks):
            self.add_module(str(i), ConvBlock(shape, eps))
        self.blocks, self.stack_after, self.head = len(blocks), stack_after, head[0]
        self.older_width = blocks[stack_after - 1].c_out
        width = blocks[-1].c_out * (2 if stack_after == len(blocks) else 1)
        self.norm = RMSNorm(width, eps)
        self.add_module(head[0], nn.Linear(width, head[1]))
        name_histories(self)

    def forward(self, x: Tensor, state: NetworkPast | None = None) -> tuple[Tensor, NetworkPast]:
        """(B, mels, M) -> (B, T, outputs) of the code frames that are complete."""
        memory = Memory(None if state is None else state.convolutions)
        halves = x.new_zeros(x.shape[0], self.older_width, 1) if state is None else state.halves
        for i in range(self.stack_after):
            x = self.get_submodule(str(i))(x, memory)
        x = torch.cat((halves, x), dim=2)
        T = x.shape[2] // 2
        halves = x[:, :, 2 * T :]
        x = torch.cat((x[:, :, 0 : 2 * T : 2], x[:, :, 1 : 2 * T : 2]), dim=1)  # older first
        for i in range(self.stack_after, self.blocks):
            x = self.get_submodule(str(i))(x, memory)
        y = self.get_submodule(self.head)(self.norm(x.transpose(1, 2)))
        return y, NetworkPast(memory.left, halves)


class Vocoder(nn.Module):
    """Vectors to audio through log-magnitudes and phases of three sub-bands."""

    window: Tensor

    def __init__(self, config: SublimeConfig) -> None:
        super().__init__()
        self.blocks, self.logmag_max = len(config.voc), config.logmag_max
        self.sharpness_bins = config.sharpness_bins
        for i, shape in enumerate(config.voc):
            self.add_module(str(i), ConvBlock(shape, config.rms_eps))
        width = config.voc[-1].c_out
        self.norm = RMSNorm(width, config.rms_eps)
        self.band = nn.ModuleList(BandDecoder(width, shape, config) for shape in config.bands)
        self.out = CausalConv2d(config.features, 2, _OUT_KERNEL)
        window = periodic_window("sqrt_hann_periodic", 2 * config.hop_length)
        self.register_buffer("window", window, persistent=False)
        self.phase_offsets: Tensor | None
        self.register_buffer("phase_offsets", phase_offsets(config))
        name_histories(self)

    def forward(
        self,
        z: Tensor,
        state: DecoderState | None = None,
        rows: Tensor | None = None,
        sharpness: Tensor | None = None,
    ) -> tuple[Tensor, DecoderState | None]:
        """Synthesise frames.

        Parameters
        ----------
        z : Tensor, (B, T, width)
            Sums of values.
        state
            What the previous call returned; None starts from silence.
        rows : Tensor of int64, (B, T)
            Of the table of phase offsets, from `offset_rows`, for a vocoder that has one.
        sharpness : Tensor, (B, T)
            From `sharpness_of`; None: none.

        Returns
        -------
        audio : Tensor, (B, T*hop)
            Frame t gives the samples of times hop*(t-1) to hop*t.
        state : DecoderState, or what was given when there are no frames
        """
        if not z.shape[1]:  # torch has no convolution of nothing
            return z.new_zeros(z.shape[0], 0), state
        memory = Memory(None if state is None else state.convolutions)
        spectrum = self.spectrum(z, memory)
        overlap = None if state is None else state.overlap
        audio, overlap = self.synthesis(spectrum, overlap, rows, sharpness)
        return audio, DecoderState(memory.left, overlap)

    def spectrum(self, z: Tensor, memory: Memory) -> Tensor:
        """(B, T, width) -> log-magnitude and phase, (B, 2, F, T)."""
        x = z.transpose(1, 2)
        for i in range(self.blocks):
            x = self.get_submodule(str(i))(x, memory)
        x = self.norm(x.transpose(1, 2))
        maps = torch.cat([band(x, memory) for band in self.band], dim=2)  # (B, C, F, T)
        return self.out(maps, memory)

    def synthesis(
        self,
        spectrum: Tensor,
        overlap: Tensor | None,
        rows: Tensor | None = None,
        sharpness: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(B, 2, F, T) -> samples (B, T*F) and the half frame that waits.

        Nothing learns of sharpness: losses would take back what it adds.
        """
        levels = spectrum[:, 0].clamp_max(self.logmag_max)
        if sharpness is not None:
            levels = sharpened(levels, sharpness, self.sharpness_bins)
        magnitude = levels.exp()
        phase = spectrum[:, 1]
        if rows is not None and self.phase_offsets is not None:
            phase = phase + self.phase_offsets[rows].transpose(1, 2)
        bins = torch.complex(magnitude * phase.cos(), magnitude * phase.sin()).transpose(1, 2)
        # The Nyquist bin is zero, and irfft ignores the imaginary part of bin 0.
        n_fft = self.window.shape[0]
        frames = torch.fft.irfft(functional.pad(bins, (0, 1)), n=n_fft, norm="ortho")
        audio, overlap = overlap_add(frames * self.window.to(frames.dtype), overlap)
        return audio.flatten(1), overlap


class Sublime(nn.Module):
    """A codec, or the parts of one that its configuration has."""

    def __init__(self, config: SublimeConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.mel = LogMel(c) if c.enc or c.fe else None
        query = ("query", c.n_groups * c.query_dim)
        logits = ("logits", c.n_groups * c.codebook_size)
        self.enc = FrameEncoder(c.enc, ENCODER_STACK_AFTER, query, c.rms_eps) if c.enc else None
        self.fe = FrameEncoder(c.fe, c.fe_stack_after, logits, c.rms_eps) if c.fe else None
        self.vq = SAVQ(
            c.n_groups_a,
            c.n_groups_b,
            c.codebook_size,
            dim=c.query_dim if c.enc else 0,
            width=c.width if c.voc else 0,
        )
        self.voc = Vocoder(c) if c.voc else None

    def encode(
        self, audio: Tensor, state: EncoderState | None = None, *, part: str | None = None
    ) -> tuple[Tensor, EncoderState]:
        """Return the codes that samples complete.

        Parameters
        ----------
        audio : Tensor, (B, N)
            Any number of samples.
        state
            What the previous call of the same part returned; None starts from silence.
        part
            ``"encoder"`` or ``"frontend"``; the encoder where the model has it when None.

        Returns
        -------
        codes : Tensor, (B, T, G) uint8
            The front-end gives a frame's codes ``lookahead_frames`` later.
        state : EncoderState
        """
        scores, state = self.scores(audio, state, part=part)
        return nearest(scores).to(torch.uint8), state

    def scores(
        self, audio: Tensor, state: EncoderState | None = None, *, part: str | None = None
    ) -> tuple[Tensor, EncoderState]:
        """Return what codes are the maxima of: cosines, or the front-end's logits, (B, T, G, K)."""
        part = part or ("encoder" if self.enc is not None else "frontend")
        if part == "encoder":
            queries, state = self.queries(audio, state)
            return self.vq.cosines(queries), state
        late = self.config.lookahead_frames - (0 if state is None else state.frames)
        logits, state = self._analysis(self._part(self.fe, part), audio, state)
        logits = logits.view(*logits.shape[:2], self.config.n_groups, self.config.codebook_size)
        return logits[:, max(late, 0) :], state

    def queries(
        self, audio: Tensor, state: EncoderState | None = None
    ) -> tuple[Tensor, EncoderState]:
        """Return the encoder's queries of the code frames that samples complete, (B, T, G, D)."""
        y, state = self._analysis(self._part(self.enc, "encoder"), audio, state)
        return y.view(*y.shape[:2], self.config.n_groups, self.config.query_dim), state

    def decode(
        self, codes: Tensor, state: DecoderState | None = None
    ) -> tuple[Tensor, DecoderState | None]:
        """Return the samples of codes, (B, T, G) or (B, T, n_groups_a) -> (B, T*hop)."""
        voc = self._part(self.voc, "decoder")
        rows, sharpness = offset_rows(codes, self.config), sharpness_of(codes, self.config)
        return voc(self.vq.lookup(codes), state, rows, sharpness)

    def _part(self, module: nn.Module | None, name: str) -> nn.Module:
        if module is None:
            raise ArgumentError(f"part {name!r}, expected one of {', '.join(self.config.parts)}")
        return module

    def _analysis(
        self, network: nn.Module, audio: Tensor, state: EncoderState | None
    ) -> tuple[Tensor, EncoderState]:
        assert self.mel is not None  # noqa: S101
        mel, mel_state = self.mel(audio, None if state is None else state.mel)
        y, past = network(mel, None if state is None else state.network)
        frames = 0 if state is None else state.frames
        return y, EncoderState(mel_state, past, frames + y.shape[1])


def phase_offsets(config: SublimeConfig) -> Tensor | None:
    """Return what phases are turned by in rad, (rows, bins), or None for no rows.

    Codes made of mel bands do not tell where in a frame a pitch pulse lies, and what a network
    then makes of phases is much the same in every frame: a buzz of 50 Hz. Above 2.5 kHz a row is
    any phase at all, below 1.5 kHz nothing, and between them ever more.
    """
    if not (config.voc and config.phase_offsets):
        return None
    F = config.hop_length
    generator = torch.Generator().manual_seed(_OFFSET_SEED)
    # On the CPU wherever the model is made: the same numbers.
    shape = (config.phase_offsets, F)
    turns = torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu") - 0.5
    hz = torch.arange(F, dtype=torch.float64, device="cpu") * config.sample_rate / (2 * F)
    low, high = _OFFSETS_HZ
    return (2 * math.pi * turns * ((hz - low) / (high - low)).clamp(0, 1)).float()


def sharpness_of(codes: Tensor, config: SublimeConfig) -> Tensor | None:
    """Return every frame's sharpness, (B, T), of codes (B, T, G); None where there is none.

    A frame without codes of mode B, also one that was lost, has that of mode A.
    """
    if not any(config.sharpness):
        return None
    both = (codes[..., config.n_groups_a :] < config.codebook_size).any(-1)
    return torch.tensor(config.sharpness, dtype=torch.float64, device=codes.device)[both.long()]


def sharpened(levels: Tensor, sharpness: Tensor, bins: int) -> Tensor:
    """Move log-magnitudes away from the mean of those around them, at equal energy.

    S_k = M_k + a (M_k - mean of M_j, |k - j| <= w), M'_k = S_k + ln(sum e^(2 M) / sum e^(2 S)) / 2.
    A network that learns by distances says the median where a harmonic may lie here or there,
    which sounds dull and rough.

    Parameters
    ----------
    levels : Tensor, (B, F, T)
        M, nepers.
    sharpness : Tensor, (B, T)
        a.
    bins
        w.
    """
    a = sharpness[:, None].to(levels.dtype)
    around = functional.avg_pool1d(
        levels.transpose(1, 2), 2 * bins + 1, 1, bins, count_include_pad=False
    ).transpose(1, 2)
    moved = levels + a * (levels - around)
    energies = [(2 * x).logsumexp(1, keepdim=True) for x in (levels, moved)]
    return moved + (energies[0] - energies[1]) / 2


def offset_rows(codes: Tensor, config: SublimeConfig) -> Tensor | None:
    """Return the row of every frame's phase offsets, (B, T) int64, of codes (B, T, G).

    r = sum_g (g + 1) c_g mod R over the codes that were sent. What changes from frame to frame
    in speech chooses, so nothing has to be counted, and a part sounds as it does in the whole.
    """
    if not config.phase_offsets:
        return None
    c = codes.long()
    sent = c * (c < config.codebook_size)
    weights = torch.arange(1, c.shape[-1] + 1, device=c.device)
    return (sent * weights).sum(-1) % config.phase_offsets


def random_sublime(config: SublimeConfig, seed: int) -> Sublime:
    """Return a model in which every weight matters and no value runs away.

    Parameters
    ----------
    config
        Sizes and parts.
    seed
        The same seed gives the same weights. The global generator is left alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Sublime(config).eval()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.startswith("vq."):
                    continue  # drawn well by the module itself
                if name.endswith("norm.weight"):
                    weight.copy_(1 + 0.2 * torch.randn_like(weight))
                elif weight.dim() == 1:
                    weight.copy_(0.1 * torch.randn_like(weight))
                else:
                    weight.copy_(torch.randn_like(weight) / weight[0].numel() ** 0.5)
            if model.vq.key is not None:
                model.vq.key.copy_(functional.normalize(model.vq.key, dim=1))
    return model
