"""SEFlow's training objective: the full network and one of its sub-networks on every batch.

B clips, T frames, F bins. Spectra are (2, F, B, T).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.reference.products import only_products_in_bf16
from voxhop.reference.seflow import analysis, synthesis
from voxhop.reference.seflow.blocks import Block
from voxhop.reference.seflow.config import RATES, published_edges, rate_hop
from voxhop.training.losses.discriminators import Discriminators
from voxhop.training.simulation.acoustics import active_level
from voxhop.training.simulation.degrade import resampled, voice_labels

if TYPE_CHECKING:
    from voxhop.reference.seflow import SEFlow
    from voxhop.training.losses.discriminators import DiscriminatorConfig
    from voxhop.training.simulation.degrade import Degraded

_POWER_EPS = 1e-5
"""Under every root of a power, of equalised clips: -50 dB of what bins of speech have."""


_LEVEL = 0.05
"""-26 dBFS, which typical magnitudes are of."""

_SILENT = 0.1
_JUDGED_RATE, _JUDGED_LEVEL = 16000, 0.05  # where discriminators hear: -26 dBFS
"""Of what comes in: the least level of a target that clips are brought to one by."""

_LEAST_ERROR = 1e-3
"""Of the energy of what comes in and what should go out: less is no better."""

_LOUDNESS = 4
"""Values of each head that begin as loudness, the first as a constant."""

_LOG_SQUARE = 16.0
"""Mean square of a band's features when it is as loud as `band_scale`, mostly the logarithm's."""

# What is carried is small beside the constant, so that norms divide by about the same for soft
# and for loud, and tanh is straight; all are large beside a step of the optimizer, but not so
# large that what blocks add is nothing beside them.
_CARRIED, _CONSTANT, _LINEAR = 0.4, 8.0, 0.5
_RMS = 3.3
"""Of a vector before the decoder, which its norm divides by."""


@dataclass(frozen=True)
class SEFlowLossConfig:
    """Weights of the terms, on spectra of clips brought to one active level and equalised.

    Equalised: divided by what speech has at a frequency (`band_scale`), which falls by 22 dB up
    to 8 kHz. Without it 3 kHz and above hardly count.

    Attributes
    ----------
    linear : float
        Mean of |Re|, |Im| and magnitude differences.
    error : float
        Logarithm of the error's energy, clip by clip and band by band: a clip that needs little
        done to it asks for as many dB as a noisy one, and nothing is better the softer it is.
    compressed : float
        Squared differences of magnitudes to the power `compression`, and of spectra of such
        magnitudes (share `complex_share`): what a listener hears of quiet bins.
    complex_share, compression : float
        See above.
    lost_speech : float
        Squared differences of magnitudes count 1 + this where less comes out than should.
    voice : float
        Cross-entropy of voice activity.
    adversarial, matching : float
        In phases of that name, of the full network: being taken for a recording, and alike on the
        way there.
    sub_network : float
        Weight of the sub-network's loss against the full network's.
    windows : tuple of int
        Hops of the past that a step's frames may attend to; one is drawn per step.
    """

    linear: float = 0.1
    error: float = 0.1
    compressed: float = 2.0
    complex_share: float = 0.3
    compression: float = 0.3
    lost_speech: float = 0.4
    voice: float = 0.1
    adversarial: float = 0.4
    matching: float = 0.4
    sub_network: float = 1.0
    windows: tuple[int, ...] = (63, 125, 250)


class SEFlowObjective(nn.Module):
    """A model and its loss on a batch.

    Parameters
    ----------
    model : SEFlow
        Trained in place.
    config : SEFlowLossConfig
        Weights of the terms.
    discriminators
        Sizes of what judges, where a phase wants it.
    """

    def __init__(
        self,
        model: SEFlow,
        config: SEFlowLossConfig,
        discriminators: DiscriminatorConfig | None = None,
    ) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.judges = None if discriminators is None else Discriminators(discriminators)

    def forward(
        self, batch: Degraded, *, depth: int, heads: int, window: int, adversarial: bool = False
    ) -> dict[str, Tensor]:
        """Return ``loss`` (what is minimised) and its unweighted terms.

        Parameters
        ----------
        batch : Degraded
            Of whole hops.
        depth, heads : int
            Sub-network that learns beside the full one.
        window : int
            Hops that a frame attends to.
        adversarial : bool
            Discriminators judge the full network's sound, and learn to.
        """
        with only_products_in_bf16(batch.noisy.device.type):
            return self._both(batch, depth, heads, window, adversarial=adversarial)

    def _both(
        self, batch: Degraded, depth: int, heads: int, window: int, *, adversarial: bool
    ) -> dict[str, Tensor]:
        rate = batch.sample_rate
        noisy, _ = analysis(batch.noisy, rate)
        clean, _ = analysis(batch.target, rate)
        clean = planes(clean)
        # Where nobody speaks, by what comes in.
        level = torch.maximum(
            active_level(batch.target, rate), _SILENT * active_level(batch.noisy, rate)
        )
        scale = 1 / level[:, 0, None]  # (B, 1)
        scale = scale * equaliser(len(clean[0]), clean)
        heard = planes(noisy) * scale
        voice = voice_labels(batch.target, rate_hop(rate))
        window = min(window, self.model.config.time_window)
        total = clean.new_zeros(())
        terms: dict[str, Tensor] = {}
        for name, b, h, weight in (
            ("full", None, None, 1.0),
            ("sub", depth, heads, self.config.sub_network),
        ):
            e = self.model.estimate(noisy, rate, depth=b, heads=h, window=window)
            found = self._terms(e.spectrum * scale, clean * scale, heard)
            if e.voice is not None:
                labels = voice.to(e.voice.dtype)
                found["voice"] = functional.binary_cross_entropy_with_logits(e.voice, labels)
            if adversarial and name == "full":
                own, found["adversarial"], found["matching"] = self._judged(
                    e.spectrum / level[:, 0, None], clean / level[:, 0, None], rate
                )
                total = total + own
                terms["judges"] = own.detach()
            loss = sum(getattr(self.config, n) * value for n, value in found.items())
            total = total + weight * loss
            terms |= {f"{name}_{n}": value.detach() for n, value in found.items()}
        return {"loss": total, **terms}

    def _judged(self, found: Tensor, target: Tensor, rate: int) -> tuple[Tensor, Tensor, Tensor]:
        """Judge spectra of speech at a level of 1 by their sound, at one rate."""
        assert self.judges is not None  # noqa: S101 - made for such phases
        sounds = []
        for z in (found, target):
            audio, _ = synthesis(torch.complex(z[0], z[1]).permute(1, 2, 0), rate)
            samples = audio.shape[1] * _JUDGED_RATE // rate
            sounds.append(_JUDGED_LEVEL * resampled(audio, samples))
        return self.judges(*sounds)

    def _terms(self, z: Tensor, t: Tensor, x: Tensor) -> dict[str, Tensor]:
        """Compare an estimate with the target, (2, F, B, T); x is what came in."""
        z_power, t_power = power(z), power(t)
        magnitude = (z_power.sqrt() - t_power.sqrt()).abs().mean()
        linear = (2 * (z - t).abs().mean() + magnitude) / 3
        c = self.config.compression
        z_mag, t_mag = z_power ** (c / 2), t_power ** (c / 2)
        compressed = z * (z_mag / z_power.sqrt()) - t * (t_mag / t_power.sqrt())
        share = self.config.complex_share
        both = share * compressed.square().sum(0).mean()
        off = (z_mag - t_mag).square()
        off = off + self.config.lost_speech * (t_mag - z_mag).relu().square()
        both = both + (1 - share) * off.mean()
        error, heard, wanted = (self._by_bands(y) for y in (z - t, x, t))
        error = (error / (heard + wanted + _POWER_EPS) + _LEAST_ERROR).log().mean()
        return {"linear": linear, "compressed": both, "error": error}

    def _by_bands(self, y: Tensor) -> Tensor:
        """(2, F, B, T) -> mean power of a clip's bands, (K, B)."""
        found = y.square().sum(0).mean(-1)
        c = self.model.config
        widths = list(c.band_widths[: c.band_edges.index(len(found))])
        return torch.stack([band.sum(0) for band in torch.split(found, widths)])


def planes(spectrum: Tensor) -> Tensor:
    """(B, T, F) complex -> (2, F, B, T)."""
    return torch.view_as_real(spectrum).permute(3, 2, 0, 1)


def power(z: Tensor) -> Tensor:
    """(2, F, B, T) of an equalised clip -> (F, B, T), never zero."""
    return z.square().sum(0) + _POWER_EPS


@torch.no_grad()
def prepare(model: SEFlow) -> None:
    """Let random weights begin as a network that gives back what it gets.

    Every head carries `_LOUDNESS` values of loudness, the first a constant, and real and
    imaginary parts of bins in the rest, at scales that speech has band by band. The decoder
    finds them through nearly linear hidden units; its gates begin half open, so that what is
    learnt first is what to take away. Blocks begin with nothing to add. Wide bands have more bins
    than values: what does not fit begins as zero.

    It comes back with 22 dB where `encoder_rms_eps` is large; where it is `rms_eps`, the norm
    before the encoder divides by the level, and of loud frames, whose logarithms are about zero,
    no level is left. From plain random weights, 1200 s of audio did not bring the SI-SDR of
    noisy speech to that of the input.
    """
    c = model.config
    scale = band_scale(c.band_edges)
    model.dec.scale.copy_(scale)
    root = math.sqrt(c.encoder_rms_eps + _LOG_SQUARE)
    model.enc.norm[:, :2] = root / scale[:, None, None]
    for block in model.blk:
        assert isinstance(block, Block)  # noqa: S101 - a module list does not say
        for half in (block.time, block.freq):
            for layer in (half.o, half.ffn2):
                layer.weight.zero_()
                layer.bias.zero_()
    enc, dec = model.enc, model.dec
    enc.weight[:, :, :2] = 0
    enc.weight[:, :, 2] *= root / 4
    dec.fc2_weight.mul_(0.02)
    d, hidden = c.head_dim, c.dec_mult * c.head_dim
    loud = min(_LOUDNESS, d)
    for k, width in enumerate(c.band_widths):
        parts = [(bin_, part) for bin_ in range(width) for part in range(2)]
        for h in range(c.n_heads):
            first = h * d
            enc.bias[k, first : first + loud] = _CONSTANT
            enc.weight[k, first + 1 : first + loud, 2, :width] += 0.75 * root / width
            for i in range(d - loud):
                row, unit = first + loud + i, h * hidden + i
                dec.fc1_weight[k, unit] = 0
                dec.fc2_weight[k, :, :, unit] = 0
                if not parts:
                    continue
                bin_, part = parts.pop(0)
                enc.weight[k, row, :, :] = 0
                enc.weight[k, row, part, bin_] = _CARRIED
                dec.fc1_weight[k, unit, row] = _LINEAR
                dec.fc2_weight[k, part, bin_, unit] = 2 * _RMS / (_CARRIED * _LINEAR)


def band_scale(band_edges: tuple[int, ...]) -> Tensor:
    """Return the typical magnitude of a real part per band, (K,), of speech at -26 dBFS."""
    edges = torch.tensor(band_edges, dtype=torch.float32)
    return _typical((edges[:-1] + edges[1:]) / 2)


def equaliser(bins: int, like: Tensor) -> Tensor:
    """Return what brings bins of speech at a level of 1 to about 1, (F, 1, 1)."""
    typical = _typical(torch.arange(bins, device=like.device, dtype=like.dtype))
    return (_LEVEL / (math.sqrt(2) * typical))[:, None, None]


def _typical(bins: Tensor) -> Tensor:
    """Magnitude of a real part, speech at -26 dBFS."""
    return 0.12 / (1 + 31.25 * bins / 700)


def rescaled(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take a scale of 1, which files have, out of the decoder's weights again."""
    found = weights["dec.scale"]
    if not bool((found == 1).all()):
        return weights
    scale = band_scale(published_edges(max(RATES))[: len(found) + 1])
    for name in ("dec.fc2_weight", "dec.fc2_bias"):
        taken = weights[name].clone()
        taken[:, :2] /= scale.view(-1, *[1] * (taken.dim() - 1))
        weights[name] = taken
    return weights | {"dec.scale": scale}
