"""The training objective: compressed spectra, level, delay and deep supervision.

B clips, T frames, F = 256 bins, D delays. Everything here is float32; the network
itself may run under autocast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from voxhop.training.localvqe.loudness import AudibleDifference
from voxhop.training.simulation.acoustics import active_level
from voxhop.training.simulation.simulate import Scenario
from voxhop.training.simulation.warm import Cancelled, clips_of

if TYPE_CHECKING:
    from voxhop.reference import LocalVQE, LocalVQEOutput
    from voxhop.reference.localvqe.config import Shuffle
    from voxhop.training.simulation.simulate import Clips

_POWER_EPS = 1e-6
"""Under every root of a power: at 1e-12 the slope of |z|^0.3 explodes at silence."""

_LOG_FLOOR = 1e-5
"""About 50 dB below a clip's mean bin power: what is quieter counts as silent."""

_NOMINAL_LEVEL = 0.05
_SI_SDR_LIMIT_DB = 25.0
_SILENT_TARGET = 1e-4


@dataclass(frozen=True)
class LossConfig:
    """Weights of the objective's terms.

    Attributes
    ----------
    compression : float
        Exponent c of the compressed spectra.
    complex_weight : float
        Share of the complex term against the magnitude term.
    over_suppression : float
        First weight of the one-sided term that forbids a target below its level; the
        loop steers it by the near-end level at every validation.
    without_echo : float
        Factor on it in clips whose microphone hears no echo: noise may go at a smaller loss
        of speech than echo.
    log_spectral : float
        Weight of the mean distance between log powers, per dB. A compressed magnitude
        hardly feels an echo that is 30 dB down and still understood; a decibel does.
    si_sdr : float
        Weight of the negative SI-SDR, clips with a target only.
    audible : float
        Weight of the mean audible difference to the target, in clips with a near end. 0 leaves
        it out.
    delay : float
        Weight of the cross-entropy of the alignment against the simulated delay.
    deep : float
        Weight of the gains predicted at the five decoder inputs.
    """

    compression: float = 0.3
    complex_weight: float = 0.3
    over_suppression: float = 2.0
    without_echo: float = 1.0
    log_spectral: float = 0.002
    si_sdr: float = 0.002
    audible: float = 0.0
    delay: float = 0.1
    deep: float = 1.0


class Objective(nn.Module):
    """A model, its throw-away supervision heads, and the loss of a simulated batch.

    Parameters
    ----------
    model : LocalVQE
        Trained in place.
    config : LossConfig
        Weights of the terms.
    """

    def __init__(self, model: LocalVQE, config: LossConfig) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.audible = AudibleDifference(model.config.n_freq_bins)
        widths = model.config.mic_channels[:0:-1]  # dec5 first, as decoder_inputs
        positions = [model.config.bottleneck_bins << stage for stage in range(len(widths))]
        bins = model.config.n_freq_bins
        self.heads = nn.ModuleList(
            nn.Linear(width, bins // count) for width, count in zip(widths, positions, strict=True)
        )
        for parameter in self.heads.parameters():
            # Gains start near one, whatever the features: the network begins as identity.
            nn.init.constant_(parameter, 1.0 if parameter.dim() == 1 else 0.0)

    def forward(
        self,
        batch: Clips | Cancelled,
        over_suppression: float,
        *,
        delay_factor: float = 1.0,
        deep_factor: float = 1.0,
        align_only: bool = False,
    ) -> dict[str, Tensor]:
        """Run the network on a batch and return its terms.

        Parameters
        ----------
        batch : Clips or Cancelled
            Simulated; with what the canceller makes of them, if there is one.
        over_suppression : float
            The steered weight of the one-sided term.
        delay_factor, deep_factor : float
            Factors of the running phase on the weights of these terms.
        align_only : bool
            Run encoders and alignment only, for the delay term alone.

        Returns
        -------
        dict
            Scalars: ``loss`` (what is minimised) and its unweighted terms.
        """
        weights, clips = self.config, clips_of(batch)
        echo = batch.echo if isinstance(batch, Cancelled) else None
        if align_only:
            front, _ = self.model.encode_and_align(clips.mic, clips.ref, echo=echo)
            delay = delay_loss(front.align.logits, clips)
            # Every parameter takes part, at no weight: data-parallel training waits
            # for the gradients of all of them.
            idle = sum(p.sum() for p in self.parameters())
            return {"loss": delay + 0.0 * idle, "delay": delay}
        output, _ = self.model(clips.mic, clips.ref, synthesize=False, echo=echo)
        with torch.autocast(clips.mic.device.type, enabled=False):
            one_sided = over_suppression * self._one_sided(clips)
            terms = self._spectral_terms(clips, output.spectrum.float(), one_sided)
            terms["delay"] = delay_loss(output.align_logits, clips)
            terms["deep"] = self._deep(clips, output, one_sided)
            loss = terms["spectral"] + weights.si_sdr * terms["si_sdr"]
            loss = loss + weights.log_spectral * terms["log"]
            if weights.audible > 0:
                terms["audible"] = self._audible(clips, output.spectrum.float())
                loss = loss + weights.audible * terms["audible"]
            loss = loss + weights.delay * delay_factor * terms["delay"]
            loss = loss + weights.deep * deep_factor * terms["deep"]
        return {"loss": loss, **terms}

    def _one_sided(self, clips: Clips) -> Tensor:
        """Factor on the one-sided term of each clip, (B, 1, 1)."""
        echo = (clips.scenario == Scenario.FAR_END) | (clips.scenario == Scenario.DOUBLE_TALK)
        factor = torch.where(echo, 1.0, self.config.without_echo)
        return factor.to(clips.mic.dtype)[:, None, None]

    def _spectral_terms(
        self, clips: Clips, spectrum: Tensor, one_sided: Tensor
    ) -> dict[str, Tensor]:
        c = self.config.compression
        target, _ = self.model.encoder(clips.target)  # (B, T, F, 2)
        scale = clip_scale(clips.mic)
        z, t = spectrum * scale, target * scale
        z_power, t_power = _power(z), _power(t)
        z_mag, t_mag = z_power ** (c / 2), t_power ** (c / 2)
        difference = z * (z_mag / z_power.sqrt())[..., None]
        difference = difference - t * (t_mag / t_power.sqrt())[..., None]
        complex_term = difference.square().sum(-1).mean()
        magnitude = (z_mag - t_mag).square().mean()
        lost = (t_mag - z_mag).clamp(min=0).square()
        share = self.config.complex_weight
        spectral = share * complex_term + (1 - share) * magnitude + (one_sided * lost).mean()
        decibels = 10 * torch.log10((z_power + _LOG_FLOOR) / (t_power + _LOG_FLOOR))
        synthesis = self.model.decoder
        estimate, _ = synthesis(spectrum)
        wanted, _ = synthesis(target)
        return {
            "spectral": spectral,
            "magnitude": magnitude.detach(),
            "lost": lost.mean().detach(),
            "log": decibels.abs().mean(),
            "si_sdr": -limited_si_sdr(estimate, wanted),
        }

    def _audible(self, clips: Clips, spectrum: Tensor) -> Tensor:
        """Mean audible difference over the clips with a near end; 0 without any."""
        alone = (clips.scenario == Scenario.FAR_END) | (clips.scenario == Scenario.NOISE)
        near = ~alone
        if not near.any():
            return spectrum.new_zeros(())
        target, _ = self.model.encoder(clips.target[near])
        estimate = spectrum[near].square().sum(-1)
        return self.audible(estimate, target.square().sum(-1)).mean()

    def _deep(self, clips: Clips, output: LocalVQEOutput, one_sided: Tensor) -> Tensor:
        """Compressed magnitude that each decoder input could reach with plain gains."""
        c = self.config.compression
        scale = clip_scale(clips.mic)
        with torch.no_grad():
            target, _ = self.model.encoder(clips.target)
            t_mag = _power(target * scale) ** (c / 2)
            x_mag = _power(output.mic_spectrum.float() * scale) ** (c / 2)
        total = x_mag.new_zeros(())
        inputs = output.decoder_inputs
        for head, features in zip(self.heads, inputs, strict=True):
            gains = head(features.float()).sigmoid()
            error = spread_bins(gains, self.model.config.shuffle) * x_mag - t_mag
            weight = torch.where(error < 0, 1.0 + one_sided, 1.0)
            total = total + (weight * error.square()).mean()
        return total / len(self.heads)


def spread_bins(gains: Tensor, shuffle: Shuffle) -> Tensor:
    """Lay out (B, T, positions, bins / positions) gains as the decoders' shuffles do.

    Repeated "halves" shuffles send position g to the bins g + positions * m;
    repeated "interleave" ones to the neighbours g * (bins / positions) + m.
    """
    ordered = gains.transpose(2, 3) if shuffle == "halves" else gains
    return ordered.flatten(2)


def clip_scale(mic: Tensor) -> Tensor:
    """Factor that brings each microphone clip to one nominal level, (B, 1, 1, 1).

    Without it |.|^(2c) lets a clip 40 dB louder weigh sixteen times as much.
    """
    return (_NOMINAL_LEVEL / active_level(mic))[:, :, None, None]


def delay_loss(logits: Tensor, clips: Clips) -> Tensor:
    """Cross-entropy of the alignment (B, T, D) against the simulated delay.

    A delay between two frames is split linearly over both. Index i is a delay of
    D - 1 - i frames. Only frames with an audible echo count.
    """
    d_max = logits.shape[2]
    delay = clips.delay_frames[:, : logits.shape[1]].clamp(0, d_max - 1)
    lower = delay.floor().long().clamp(max=d_max - 2)
    upper_share = delay - lower
    chance = logits.float().log_softmax(dim=2)
    at_lower = chance.gather(2, (d_max - 1 - lower)[..., None])[..., 0]
    at_upper = chance.gather(2, (d_max - 2 - lower)[..., None])[..., 0]
    entropy = -(at_lower * (1 - upper_share) + at_upper * upper_share)
    valid = clips.delay_valid[:, : logits.shape[1]]
    return (entropy * valid).sum() / valid.sum().clamp(min=1)


def limited_si_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """Mean SI-SDR in dB over the clips whose target is not silent, capped per clip.

    (B, N) both. Returns 0 when every target is silent.
    """
    present = target.square().mean(1) > _SILENT_TARGET**2
    energy = target.square().sum(1, keepdim=True) + 1e-8
    scaled = (estimate * target).sum(1, keepdim=True) / energy * target
    noise = (estimate - scaled).square().sum(1) + 1e-8
    ratio = 10 * torch.log10((scaled.square().sum(1) + 1e-8) / noise)
    return (ratio.clamp(max=_SI_SDR_LIMIT_DB) * present).sum() / present.sum().clamp(min=1)


def _power(z: Tensor) -> Tensor:
    """(B, T, F, 2) -> (B, T, F), never zero."""
    return z.square().sum(-1) + _POWER_EPS
