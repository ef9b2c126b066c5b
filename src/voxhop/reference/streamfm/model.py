"""Stream.FM: frame-by-frame generative restoration with a flow model.

B batch, F bins, T frames, H hop; spectra are complex (B, F, T). Frame t ends with hop t, so
whole clips and single hops are the same computation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.errors import ArgumentError, ShapeError
from voxhop.reference.mel import Mel
from voxhop.reference.overlap import overlap_add, periodic_window
from voxhop.reference.philox import complex_normal
from voxhop.reference.solvers import LEARNED, LearnedTableau, Tableau, named_tableaus
from voxhop.reference.streamfm.spread import NoiseSpread
from voxhop.reference.streamfm.unet import UNet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxhop.reference.memory import NetworkState
    from voxhop.reference.streamfm.config import StreamFMConfig

POWER_EPS = 1e-24  # inside the power law's root

Steps = tuple[Tensor, Tensor, Tensor]


class StreamFMState(NamedTuple):
    """Everything a stream remembers between hops."""

    history: Tensor  # (B, H): the hop before
    predictor: NetworkState | None
    stages: tuple[NetworkState, ...]  # one per solver stage, never shared
    overlap: Tensor  # (B, H): the second half of the last frame
    frame: int  # index of the next frame, which the noise counts by
    levels: Tensor | None  # of the frames that the noise's spread is told from


class StreamFM(nn.Module):
    """A model of one task.

    Parameters
    ----------
    config
        Sizes and task.
    folded
        Norms as fixed maps, as files hold them.
    """

    sigma_y: Tensor
    window: Tensor

    def __init__(self, config: StreamFMConfig, *, folded: bool = False) -> None:
        super().__init__()
        self.config, self.folded = config, folded
        self.flow = UNet(config, config.in_channels, timed=True, folded=folded)
        self.pred = UNet(config, 2, timed=False, folded=folded) if config.predictor else None
        melvoc = config.task == "melvoc"
        self.mel = Mel(config.bins, config.n_mels, config.sample_rate) if melvoc else None
        self.spread = (
            NoiseSpread(config.spread_bands, config.spread_frames, config.spread_hidden)
            if config.spread_bands
            else None
        )
        self.tableaus: dict[str, Tableau] = named_tableaus()
        self.learned: LearnedTableau | None = None
        if config.learned_from:
            self.learned = LearnedTableau(self.tableau(config.learned_from))
        self.register_buffer("sigma_y", torch.full((config.bins,), config.sigma_y))
        window = periodic_window(config.window, config.n_fft)
        self.register_buffer("window", window, persistent=False)

    def forward(
        self,
        audio: Tensor,
        state: StreamFMState | None = None,
        *,
        solver: str | Tableau | None = None,
        noise: Tensor | None = None,
        seed: int = 0,
    ) -> tuple[Tensor, StreamFMState]:
        """Restore a clip or the next hops of a stream.

        Parameters
        ----------
        audio : Tensor, (B, T*H) f32 or f64
            Samples; for Mel vocoding (B, M, T) Mel frames of linear magnitudes instead.
        state
            What the previous call returned; None starts from silence.
        solver
            A name of ``solvers()`` or a tableau; the file's default when None.
        noise : Tensor, (B or 1, T, 2, F), optional
            Real and imaginary parts, variance 1/2 each; drawn by ``seed`` and frame index
            when None.
        seed
            0 to 2^64 - 1.

        Returns
        -------
        audio : Tensor, (B, T*H)
            In streamed time: call t gives the samples before its own.
        state : StreamFMState
        """
        if not isinstance(solver, Tableau):
            solver = self.tableau(solver or self.config.default_solver)
        y, history = self._corrupted(audio, state)
        T = y.shape[2]
        frame = 0 if state is None else state.frame
        if noise is None:
            drawn = complex_normal(seed, frame, T, self.config.bins)
            noise = torch.as_tensor(drawn, device=y.device)[None]
        if tuple(noise.shape[1:]) != (T, 2, self.config.bins):
            raise ShapeError(
                f"noise: shape {tuple(noise.shape)}, expected (B, {T}, 2, {self.config.bins})"
            )
        noise = noise.to(y.real.dtype)
        z = torch.complex(noise[:, :, 0], noise[:, :, 1]).transpose(1, 2)
        base, past = y, None
        if self.pred is not None:
            base, past = self.predict(y, None if state is None else state.predictor)
        sigma, levels = self.start_spread(y, None if state is None else state.levels)
        x0 = base + sigma * z
        x, stages = self.solve(x0, base, y, solver, None if state is None else state.stages)
        out, overlap = self.synthesis(x, None if state is None else state.overlap)
        return out, StreamFMState(history, past, stages, overlap, frame + T, levels)

    def start_spread(self, y: Tensor, levels: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the spread of the noise at the corrupted end, and what to remember for it.

        (1, F, 1), or (B, F, T) where it is told from y.
        """
        if self.spread is None:
            return self.sigma_y.to(y.real.dtype)[None, :, None], None
        return self.spread(y, levels)

    def solve(
        self,
        x0: Tensor,
        base: Tensor,
        y: Tensor,
        tableau: Tableau | Steps,
        states: tuple[NetworkState, ...] | None = None,
    ) -> tuple[Tensor, tuple[NetworkState, ...]]:
        """Integrate from the corrupted end to the clean one.

        Parameters
        ----------
        x0, base, y : Tensor, (B, F, T) complex
            Start with its noise and without, input of the model.
        tableau
            A solver, or (a, b, c) as tensors to learn them.
        states
            One network state per stage.
        """
        if isinstance(tableau, Tableau):
            tableau = tuple(y.real.new_tensor(v) for v in (tableau.a, tableau.b, tableau.c))  # type: ignore[assignment]
        a, b, c = tableau  # type: ignore[misc]
        slopes: list[Tensor] = []
        left = []
        for i in range(len(b)):
            x = x0
            for j, k in enumerate(slopes):
                x = x + a[i, j] * k
            k, new = self.velocity(x, base, y, c[i], None if states is None else states[i])
            slopes.append(k)
            left.append(new)
        x1 = x0
        for weight, k in zip(b, slopes, strict=True):
            x1 = x1 + weight * k
        return x1, tuple(left)

    def velocity(
        self, x: Tensor, base: Tensor, y: Tensor, tau: Tensor, state: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, NetworkState]:
        """v(x, conditions, tau); spectra (B, F, T) complex, tau scalar or (B)."""
        spectra = (x, y) if self.pred is None else (x, base, y)
        v, left = self.flow(_stacked(*spectra), tau.expand(x.shape[0]), state)
        return torch.complex(v[:, 0], v[:, 1]), left

    def predict(
        self, y: Tensor, state: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, NetworkState]:
        """Return the predictor's estimate of the clean spectrum, (B, F, T) complex."""
        assert self.pred is not None  # noqa: S101
        e, left = self.pred(_stacked(y), None, state)
        return torch.complex(e[:, 0], e[:, 1]), left

    def compress(self, spectrum: Tensor) -> Tensor:
        """Power law on the magnitude; zero stays zero."""
        power = spectrum.real.square() + spectrum.imag.square() + POWER_EPS
        exponent = (self.config.compress_exponent - 1) / 2
        return spectrum * (self.config.compress_scale * power**exponent)

    def decompress(self, compressed: Tensor) -> Tensor:
        """Inverse of `compress`."""
        c = compressed / self.config.compress_scale
        power = c.real.square() + c.imag.square() + POWER_EPS
        return c * power ** ((1 / self.config.compress_exponent - 1) / 2)

    def analysis(self, audio: Tensor, history: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T*H) samples -> spectrum (B, F, T) complex, not compressed, and the last hop."""
        H, N = self.config.hop_length, self.config.n_fft
        if audio.dim() != 2 or audio.shape[1] % H:  # noqa: PLR2004
            raise ShapeError(f"audio: shape {tuple(audio.shape)}, expected (B, T*{H})")
        if history is None:
            history = audio.new_zeros(audio.shape[0], H)
        samples = torch.cat((history, audio), dim=1)
        frames = samples.unfold(1, N, H) * self.window.to(audio.dtype)  # (B, T, N)
        spectrum = torch.fft.rfft(frames, norm="ortho")[..., :-1]
        return spectrum.transpose(1, 2), samples[:, -H:]

    def operator(self, compressed: Tensor) -> Tensor:
        """Keep what the task leaves of a compressed spectrum: the magnitude, or Mel bands."""
        if self.config.task == "stft_pr":
            magnitude = compressed.abs()
            return torch.complex(magnitude, torch.zeros_like(magnitude))
        if self.mel is not None:
            linear = self.decompress(compressed).abs()
            return self.from_mel(torch.einsum("fm,bft->bmt", self.mel.fb.to(linear.dtype), linear))
        return compressed

    def from_mel(self, mel: Tensor) -> Tensor:
        """(B, M, T) Mel frames -> start of the flow (B, F, T) complex."""
        assert self.mel is not None  # noqa: S101
        linear = torch.einsum("mf,bmt->bft", self.mel.pinv.to(mel.dtype), mel).abs()
        magnitude = self.config.compress_scale * linear**self.config.compress_exponent
        return torch.complex(magnitude, torch.zeros_like(magnitude))

    def fold(self) -> StreamFM:
        """Return the same model with norms folded into fixed maps."""
        if self.folded:
            return self
        # What was learned is a tableau like others from now on.
        model = StreamFM(replace(self.config, learned_from=""), folded=True)
        model.to(self.sigma_y.dtype)
        for name in ("flow", "pred"):
            network = getattr(self, name)
            if network is not None:
                getattr(model, name).load_state_dict(network.folded_state())
        for name in ("mel", "spread"):
            own = getattr(self, name)
            if own is not None:
                getattr(model, name).load_state_dict(own.state_dict())
        model.sigma_y.copy_(self.sigma_y)
        model.tableaus = self.solvers()
        return model.eval()

    def solvers(self) -> dict[str, Tableau]:
        """Return all tableaus by name, with the learned one as it is at present."""
        found = dict(self.tableaus)
        if self.learned is not None:
            found[LEARNED] = self.learned.tableau()
        return found

    def tableau(self, name: str) -> Tableau:
        """Return a solver by its name.

        Raises
        ------
        ArgumentError
            For one that is not there.
        """
        if name == LEARNED and self.learned is not None:
            return self.learned.tableau()
        if name not in self.tableaus:
            raise ArgumentError(f"solver: {name!r}, expected one of {', '.join(self.tableaus)}")
        return self.tableaus[name]

    def _corrupted(self, audio: Tensor, state: StreamFMState | None) -> tuple[Tensor, Tensor]:
        """Return Y of the task and the hop to remember."""
        if self.mel is not None and audio.dim() == 3:  # noqa: PLR2004
            return self.from_mel(audio), audio.new_zeros(audio.shape[0], self.config.hop_length)
        spectrum, history = self.analysis(audio, None if state is None else state.history)
        return self.operator(self.compress(spectrum)), history

    def synthesis(self, compressed: Tensor, overlap: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Overlap-add, divided by the squared windows' sum (1 for the root of Hann)."""
        H, N = self.config.hop_length, self.config.n_fft
        spectrum = functional.pad(self.decompress(compressed).transpose(1, 2), (0, 1))
        w = self.window.to(spectrum.real.dtype)
        frames = torch.fft.irfft(spectrum, n=N, norm="ortho") * w
        audio, overlap = overlap_add(frames, overlap)
        divisor = w[:H].square() + w[H:].square()
        return (audio / divisor).flatten(1), overlap


def _stacked(*spectra: Tensor) -> Tensor:
    """Real parts of all, then imaginary parts of all: (B, 2n, F, T)."""
    return torch.stack([s.real for s in spectra] + [s.imag for s in spectra], dim=1)


def random_streamfm(config: StreamFMConfig, seed: int) -> StreamFM:
    """Return a folded model in which every weight matters and no value runs away.

    Parameters
    ----------
    config
        Sizes and task.
    seed
        The same seed gives the same weights. The global generator is left alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = StreamFM(config, folded=True).eval()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.endswith(".scale"):
                    weight.copy_(1 + 0.2 * torch.randn_like(weight))
                elif weight.dim() == 1 or name.endswith(".shift"):
                    weight.copy_(0.1 * torch.randn_like(weight))
                else:
                    fan = max(weight[:1].numel(), 1)
                    weight.copy_(torch.randn_like(weight) * (1.5 / fan) ** 0.5)
    return model
