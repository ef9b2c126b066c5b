"""SEFlow's validation: fixed clips of each degradation alone, and every size of network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from voxhop.reference.seflow import SEFlow, analysis
from voxhop.reference.seflow.config import rate_hop
from voxhop.training.draw import Draw
from voxhop.training.losses.si_sdr import si_sdr
from voxhop.training.seflow.objective import equaliser, planes, power
from voxhop.training.simulation.acoustics import active_level
from voxhop.training.simulation.degrade import DegradationConfig, bank_rate, degrade, voice_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from voxhop.training.config import SEFlowTrainingConfig
    from voxhop.training.simulation.degrade import Degraded
    from voxhop.training.sounds.bank import SoundBank

_INAUDIBLE = 1e-4
"""A distance that nobody hears."""

_BASE = DegradationConfig(
    noise=0.0, reverberation=0.0, clipping=0.0, packet_loss=0.0, silence=0.0, snr_db=(0.0, 0.0)
)
KINDS = {
    "noise": replace(_BASE, noise=1.0),
    "reverb": replace(_BASE, noise=1.0, reverberation=1.0, snr_db=(20.0, 30.0)),
    "clipping": replace(_BASE, noise=1.0, clipping=1.0, snr_db=(30.0, 40.0)),
    "loss": replace(_BASE, noise=1.0, packet_loss=1.0, snr_db=(30.0, 40.0)),
}
"""One degradation each; a quiet noise stays under the others, as no recording is without."""


class SEFlowJudge:
    """A fixed set of clips.

    Parameters
    ----------
    config : SEFlowTrainingConfig
        The run.
    banks : mapping
        Recordings and rooms of the valid split by rate.
    """

    def __init__(self, config: SEFlowTrainingConfig, banks: Mapping[int, SoundBank]) -> None:
        limits = config.validation
        rates = sorted(set(config.rates))
        self._main = config.model.default_rate if config.model.default_rate in rates else rates[-1]

        def clips(rate: int, kind: str, key: int) -> Degraded:
            hop = rate_hop(rate)
            return degrade(
                banks[bank_rate(rate)],
                KINDS[kind],
                Draw(limits.seed, key),
                clips=limits.per_scenario,
                samples=max(1, int(limits.seconds * rate) // hop) * hop,
                sample_rate=rate,
            )

        self._kinds = {kind: clips(self._main, kind, i) for i, kind in enumerate(KINDS)}
        others = [rate for rate in rates if rate != self._main]
        self._others = [clips(rate, "noise", len(KINDS) + i) for i, rate in enumerate(others)]
        B, H = config.model.depth, config.model.n_heads
        middle = (max(1, B // 2), max(1, H // 2))
        self._networks = sorted({(1, 1), (B, 1), (1, H), middle} - {(B, H)})

    def anchors(self) -> Iterator[dict[str, float]]:
        """Yield the SI-SDR of what comes in, dB: ``noise_input`` and so on."""
        yield {
            f"{kind}_input": float(si_sdr(clips.noisy, clips.target).mean())
            for kind, clips in self._kinds.items()
        }

    @torch.no_grad()
    def figures(self, model: nn.Module) -> dict[str, float]:
        """Score a model.

        Returns
        -------
        dict
            SI-SDR gains in dB: ``noise_gain`` (0 dB), ``reverb_gain``, ``clipping_gain``,
            ``loss_gain``; in noise also ``rates_gain``, the mean of all other rates,
            ``gain_B_H`` of some sub-networks and ``worst_gain`` of these; ``voice_right``,
            share of frames; ``heard_gain``, mean over kinds of the fall of `heard_distance`, dB,
            which SI-SDR does not see; ``score``, mean of the first four, of the rates, of what is
            heard and of the worst.
        """
        assert isinstance(model, SEFlow)  # noqa: S101 - the objective's
        found = {f"{kind}_gain": _gain(model, clips) for kind, clips in self._kinds.items()}
        rates = [_gain(model, clips) for clips in self._others]
        found["rates_gain"] = sum(rates) / len(rates) if rates else found["noise_gain"]
        found["heard_gain"] = sum(_heard_gain(model, c) for c in self._kinds.values()) / len(KINDS)
        noise = self._kinds["noise"]
        sizes = {f"gain_{b}_{h}": _gain(model, noise, b, h) for b, h in self._networks}
        found["worst_gain"] = min(sizes.values(), default=found["noise_gain"])
        found["score"] = sum(found.values()) / len(found)
        return found | sizes | {"voice_right": _voice_right(model, noise)}


def enhanced(
    model: SEFlow, clips: Degraded, depth: int | None = None, heads: int | None = None
) -> Tensor:
    """Run a model over clips and remove the lag of one hop, (clips, samples)."""
    hop = rate_hop(clips.sample_rate)
    padded = torch.nn.functional.pad(clips.noisy, (0, hop))
    out, _ = model(padded, sample_rate=clips.sample_rate, depth=depth, heads=heads)
    return out.audio[:, hop:]


def _gain(
    model: SEFlow, clips: Degraded, depth: int | None = None, heads: int | None = None
) -> float:
    after = si_sdr(enhanced(model, clips, depth, heads), clips.target)
    return float((after - si_sdr(clips.noisy, clips.target)).mean())


def _heard_gain(model: SEFlow, clips: Degraded) -> float:
    before = heard_distance(clips.noisy, clips.target, clips.sample_rate)
    after = heard_distance(enhanced(model, clips), clips.target, clips.sample_rate)
    return float(10 * (before / after).log10().mean())


def heard_distance(audio: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Mean squared difference of magnitudes to the power 0.3, equalised, soft bins included.

    Parameters
    ----------
    audio, target : Tensor, (clips, T*hop)
        At any level; a clip is brought to an active level of 1 by its target.
    sample_rate : int
        Hz.

    Returns
    -------
    Tensor, (clips)
        Above 0: below -50 dB of what speech has at a frequency nothing is heard.
    """
    level = active_level(target, sample_rate)
    one, two = (planes(analysis(x / level, sample_rate)[0]) for x in (audio, target))
    weights = equaliser(one.shape[1], one)
    one, two = (power(x * weights) ** (0.3 / 2) for x in (one, two))
    return (one - two).square().mean((0, 2)) + _INAUDIBLE


def _voice_right(model: SEFlow, clips: Degraded) -> float:
    out, _ = model(clips.noisy, sample_rate=clips.sample_rate)
    if out.voice is None:
        return float("nan")
    labels = voice_labels(clips.target, rate_hop(clips.sample_rate))
    return float(((out.voice >= 0.5) == labels).float().mean())  # noqa: PLR2004
