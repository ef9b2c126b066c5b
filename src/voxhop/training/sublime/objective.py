"""Sublime's training objectives: reconstruction, discriminators, and the front-end's codes.

B clips, N samples, T code frames, G groups, K codes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxhop.errors import ArgumentError
from voxhop.reference.memory import Memory
from voxhop.reference.products import only_products_in_bf16
from voxhop.reference.savq import log_weights, rwss
from voxhop.reference.sublime import offset_rows
from voxhop.training.losses.discriminators import Discriminators
from voxhop.training.losses.spectra import SpectralLosses, Texture, own_spectrum

if TYPE_CHECKING:
    from voxhop.reference.sublime import Sublime
    from voxhop.training.losses.discriminators import DiscriminatorConfig


@dataclass(frozen=True)
class AnnealingConfig:
    """The temperature over the share of the run that has no discriminators.

    The defaults are for codecs that begin as `fit_codec` leaves them and for some hours of two
    cores; the paper's are 0.02, 0.01 and 1.3e-7 with a floor of 0.01: see ``docs/training.md``.

    Attributes
    ----------
    start : float
        Of the first step: warm enough that all codes take part.
    first, second, last : float
        Reached after `warm` of it, after `cosine` more of it, and at its end.
    warm, cosine : float
        Shares; the fall is even in the logarithm, then a half cosine, then even again.
    floor : float
        The encoder learns at no less than this.
    """

    start: float = 0.05
    first: float = 0.05
    second: float = 0.03
    last: float = 5e-3
    warm: float = 0.1
    cosine: float = 0.12
    floor: float = 0.2

    def __post_init__(self) -> None:
        """Refuse a temperature that rises, and shares that leave none for the end."""
        falling = self.start >= self.first >= self.second >= self.last > 0
        if not falling or self.floor <= 0:
            raise ArgumentError("annealing: expected start >= first >= second >= last > 0")
        if min(self.warm, self.cosine) < 0 or self.warm + self.cosine >= 1:
            raise ArgumentError("annealing: expected warm and cosine to leave a share")

    def temperature(self, share: float) -> float:
        """Return the temperature at a share in [0, 1]."""
        if share < self.warm:
            return self.start * (self.first / self.start) ** (share / self.warm)
        share -= self.warm
        if share < self.cosine:
            turn = 0.5 - 0.5 * math.cos(math.pi * share / self.cosine)
            return self.first + (self.second - self.first) * turn
        rest = (share - self.cosine) / (1 - self.warm - self.cosine)
        return float(self.second * (self.last / self.second) ** min(rest, 1.0))


@dataclass(frozen=True)
class SublimeLossConfig:
    """Weights of the terms.

    Attributes
    ----------
    mel, mfcc : float
        Distances of spectra and cepstra.
    magnitude, delay : float
        Distances of the vocoder's own log-magnitudes and group delays. Not in the paper; a run
        without them takes several times as long to find formants and pitch.
    texture : float
        Distance of how uneven the levels of bins are, see `Texture`. Not in the paper.
    rwss : float
        What keeps codes in use. In batches of some hundred frames a code without any is common,
        and the paper's 1 leaves the clipped gradient nothing else: see ``docs/training.md``.
    rwss_eps : float
        Added to the share of frames that a code wins: how much more a code without any counts.
    adversarial, matching : float
        Being taken for a recording, and alike on the way there.
    dropped : float
        Share of clips that only the groups of mode A are heard of.
    shortest : int
        Shortest window of the mel spectra, in samples. What lies within a millisecond is noise
        to a codec that has not found the pitch yet, and half of the cost of the distances.
    """

    mel: float = 10.0
    mfcc: float = 1.0
    magnitude: float = 2.0
    delay: float = 0.5
    texture: float = 0.0
    rwss: float = 3e-4
    rwss_eps: float = 1e-3
    adversarial: float = 1.0
    matching: float = 1.0
    dropped: float = 0.5
    shortest: int = 32


class SublimeBatch(NamedTuple):
    """A batch at the codec's rate.

    Attributes
    ----------
    noisy, target : Tensor, (B, N) float32
        What the encoder hears, and what should be heard.
    both : Tensor of bool, (B)
        Clips that both modes' groups are heard of.
    """

    noisy: Tensor
    target: Tensor
    both: Tensor


class CodecObjective(nn.Module):
    """Encoder, quantiser and vocoder, and their loss.

    Parameters
    ----------
    model
        Trained in place.
    config
        Weights.
    floor
        Temperature at which the encoder learns below it.
    discriminators
        Their sizes, where a phase wants them.
    """

    def __init__(
        self,
        model: Sublime,
        config: SublimeLossConfig,
        *,
        floor: float,
        discriminators: DiscriminatorConfig | None,
    ) -> None:
        super().__init__()
        self.model, self.config, self.floor = model, config, floor
        self.spectral = SpectralLosses(model.config.sample_rate, shortest=config.shortest)
        self.texture = Texture() if config.texture else None
        self.judges = None if discriminators is None else Discriminators(discriminators)

    def forward(
        self,
        batch: SublimeBatch,
        *,
        temperature: float,
        adversarial: bool = False,
        frozen: bool = False,
    ) -> dict[str, Tensor]:
        """Return ``loss`` (what is minimised), its unweighted terms, temperature and usage.

        Parameters
        ----------
        batch : SublimeBatch
            Of whole code frames.
        temperature : float
            Of the quantiser; not used when it is frozen.
        adversarial : bool
            Discriminators judge. Goes with `frozen`.
        frozen : bool
            The encoder is left as it is, and codes are looked up.
        """
        with only_products_in_bf16(batch.noisy.device.type):  # the discriminators'
            return self._heard(batch, temperature, adversarial=adversarial, frozen=frozen)

    def _heard(
        self, batch: SublimeBatch, temperature: float, *, adversarial: bool, frozen: bool
    ) -> dict[str, Tensor]:
        c = self.config
        terms: dict[str, Tensor] = {}
        if frozen:
            with torch.no_grad():
                queries, _ = self.model.queries(batch.noisy)
                codes = self.model.vq.codes(queries)
            z_a = self.model.vq.lookup(codes[..., : self.model.vq.groups_a])
            z_b = self.model.vq.lookup(codes) - z_a
        else:
            queries, _ = self.model.queries(batch.noisy)
            z_a, z_b, cosines = self.model.vq.attend(queries, temperature, self.floor)
            # At the floor, too: below it one frame's gradient would be a thousand others'.
            warm = max(temperature, self.floor)
            log_p = log_weights(cosines.flatten(0, 1), queries.shape[-1], warm)
            terms["rwss"] = rwss(log_p, eps=c.rwss_eps)
            codes = cosines.detach().argmax(-1)
        assert self.model.voc is not None  # noqa: S101 - a codec has one
        z = z_a + batch.both[:, None, None] * z_b
        spectrum = self.model.voc.spectrum(z, Memory(None))
        terms["magnitude"], terms["delay"] = own_spectrum(
            spectrum, batch.target, self.model.voc.window, self._told()
        )
        rows = self._offset_rows(codes, batch.both)
        sound, _ = self.model.voc.synthesis(spectrum, None, rows)
        found, target = aligned(sound, batch.target, self.model)
        terms["mel"], terms["mfcc"] = self.spectral(found, target)
        if self.texture is not None:
            terms["texture"] = self.texture(found, target)
        if adversarial:
            assert self.judges is not None  # noqa: S101 - made for such phases
            terms["judges"], terms["adversarial"], terms["matching"] = self.judges(found, target)
        weights = {name: getattr(c, name, 1.0) for name in terms}
        loss = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        used = usage(codes, self.model.vq.size)
        heat = loss.new_tensor(0.0 if frozen else temperature)
        return {
            "loss": loss,
            **{name: value.detach() for name, value in terms.items()},
            "temperature": heat,
            "usage": used.mean(),
        }

    def _told(self) -> Tensor | None:
        """Return in which bins the vocoder's phases are heard as they are, (F); None: in all."""
        table = None if self.model.voc is None else self.model.voc.phase_offsets
        return None if table is None else (table == 0).all(0)

    def _offset_rows(self, codes: Tensor, both: Tensor) -> Tensor | None:
        """Return the rows that the codes choose which are heard of."""
        c = self.model.config
        codes = codes.long()
        unheard = codes.new_tensor(c.codebook_size)
        held = torch.arange(c.n_groups, device=codes.device) < c.n_groups_a
        return offset_rows(torch.where(both[:, None, None] | held, codes, unheard), c)


class FrontEndObjective(nn.Module):
    """The front-end, which learns the codes that the encoder gives clean speech.

    Parameters
    ----------
    model
        Its front-end is trained in place, all else is left as it is.
    """

    def __init__(self, model: Sublime) -> None:
        super().__init__()
        self.model = model
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith("fe."))

    def forward(self, batch: SublimeBatch) -> dict[str, Tensor]:
        """Return ``loss``, the cross-entropy in nats per code, and ``right``, a share."""
        logits, _ = self.model.scores(batch.noisy, part="frontend")  # (B, T - late, G, K)
        with torch.no_grad():
            codes, _ = self.model.encode(batch.target, part="encoder")
        labels = codes[:, : logits.shape[1]].long()
        loss = functional.cross_entropy(logits.flatten(0, 2), labels.flatten())
        right = (logits.detach().argmax(-1) == labels).float().mean()
        return {"loss": loss, "right": right}


def aligned(found: Tensor, target: Tensor, model: Sublime) -> tuple[Tensor, Tensor]:
    """Cut a vocoder's output and its target to the samples that both have.

    Parameters
    ----------
    found : Tensor, (B, T*hop)
        As the vocoder gives it: its first frame lies before the start.
    target : Tensor, (B, N)
    model
        Whose hop it is.
    """
    hop = model.config.hop_length
    shared = min(found.shape[1] - hop, target.shape[1])
    return found[:, hop : hop + shared], target[:, :shared]


def usage(codes: Tensor, size: int) -> Tensor:
    """Return the share of each group's codes that occur, (G), of codes (..., G)."""
    flat = codes.flatten(0, -2)
    return functional.one_hot(flat.long(), size).amax(0).float().mean(-1)
