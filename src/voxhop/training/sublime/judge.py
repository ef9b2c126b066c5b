"""Sublime's validation: fixed clips, clean and noisy, coded at both rates with hard codes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from voxhop.reference.sublime import Sublime
from voxhop.training.draw import Draw
from voxhop.training.losses.spectra import SpectralLosses
from voxhop.training.sublime.clips import draw_batch
from voxhop.training.sublime.objective import aligned, usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from voxhop.training.config import SublimeTrainingConfig
    from voxhop.training.sounds.bank import SoundBank
    from voxhop.training.sublime.objective import SublimeBatch


class SublimeJudge:
    """A fixed set of clips.

    Parameters
    ----------
    config : SublimeTrainingConfig
        The run.
    bank : SoundBank
        Recordings and rooms of the valid split.
    """

    def __init__(self, config: SublimeTrainingConfig, bank: SoundBank) -> None:
        limits, rate = config.validation, bank.sample_rate
        hop = config.model.hop_length
        base = replace(config.simulation, narrow=0.0)
        kinds = {"clean": replace(base, clean=1.0), "noisy": replace(base, clean=0.0)}
        self._clips = {
            kind: draw_batch(
                bank,
                chances,
                Draw(limits.seed, i, device=bank.rooms.device),
                clips=limits.per_scenario,
                samples=max(4, int(limits.seconds * rate) // hop) * hop,
                dropped=0.0,
            )
            for i, (kind, chances) in enumerate(kinds.items())
        }
        self._distance = SpectralLosses(rate).to(bank.rooms.device)
        self._front_end = config.track == 2  # noqa: PLR2004 - its name

    def anchors(self) -> Iterator[dict[str, float]]:
        """Yield the distance of silence and of what comes in from what should be heard."""
        clean, noisy = self._clips["clean"], self._clips["noisy"]
        yield {
            "silence_mel": float(self._distance(0 * clean.target, clean.target)[0]),
            "input_mel": float(self._distance(noisy.noisy, noisy.target)[0]),
        }

    @torch.no_grad()
    def figures(self, model: nn.Module) -> dict[str, float]:
        """Score a model.

        Returns
        -------
        dict
            Distances of mel spectra, lower is better: ``clean_6``, ``clean_1``, ``noisy_6``,
            ``noisy_1`` (kbit/s). ``usage`` and ``least_used``: share of codes in use, mean and
            worst group. ``perplexity``, mean over groups, of 32. With a front-end ``right``,
            the share of its codes that are those of clean speech. ``score``: minus the mean of
            the distances, with a front-end of the noisy ones.
        """
        assert isinstance(model, Sublime)  # noqa: S101 - the objective's
        found: dict[str, float] = {}
        part = "frontend" if self._front_end else "encoder"
        codes = {}
        for kind, batch in self._clips.items():
            codes[kind], _ = model.encode(batch.noisy, part=part)
            for kbps, groups in ((6, model.config.n_groups), (1, model.config.n_groups_a)):
                heard = codes[kind][..., :groups]
                found[f"{kind}_{kbps}"] = self._mel(model, heard, batch)
        size = model.config.codebook_size
        used = usage(codes["clean"], size)
        found["usage"], found["least_used"] = float(used.mean()), float(used.min())
        found["perplexity"] = float(perplexity(codes["clean"], size).mean())
        scored = [found["noisy_6"], found["noisy_1"]]
        if self._front_end:
            right, _ = model.encode(self._clips["noisy"].target, part="encoder")
            said = codes["noisy"]
            found["right"] = float((said == right[:, : said.shape[1]]).float().mean())
        else:
            scored += [found["clean_6"], found["clean_1"]]
        found["score"] = -sum(scored) / len(scored)
        return found

    def _mel(self, model: Sublime, codes: Tensor, batch: SublimeBatch) -> float:
        sound, target = aligned(model.decode(codes)[0], batch.target, model)
        return float(self._distance(sound, target)[0])


def perplexity(codes: Tensor, size: int) -> Tensor:
    """Return how many codes each group seems to use, (G), of codes (..., G)."""
    share = functional.one_hot(codes.flatten(0, -2).long(), size).float().mean(0)
    return (-(share * share.clamp_min(1e-12).log()).sum(-1)).exp()
