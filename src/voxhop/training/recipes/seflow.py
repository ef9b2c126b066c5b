"""SEFlow's part of training: one microphone at several rates, and networks inside a network."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from voxhop.errors import ArgumentError
from voxhop.export.seflow import read_seflow, write_seflow
from voxhop.reference.seflow import SEFlow
from voxhop.reference.seflow.config import rate_hop
from voxhop.training.config import SEFlowTrainingConfig
from voxhop.training.draw import Draw
from voxhop.training.recipes.recipe import Figures, Panel, Recipe
from voxhop.training.seflow.judge import KINDS, SEFlowJudge
from voxhop.training.seflow.objective import SEFlowObjective, prepare, rescaled
from voxhop.training.simulation.degrade import bank_rate, degrade
from voxhop.training.simulation.teacher import Teacher
from voxhop.training.sounds.bank import load_bank

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from voxhop.export.model_file import DataType
    from voxhop.models import ModelInfo
    from voxhop.training.config import Phase
    from voxhop.training.simulation.degrade import Degraded
    from voxhop.training.sounds.bank import SoundBank
    from voxhop.training.sounds.corpus import Split
    from voxhop.training.state import Progress

_SUB_NETWORK_KEY = 1
"""Tells the draws of sub-networks, equal in all processes, from those of clips."""


class SEFlowRecipe(Recipe[SEFlowTrainingConfig]):
    """See `Recipe`."""

    hidden = ("blk.",)
    losses = (
        *("loss", "full_linear", "full_compressed", "sub_linear", "sub_compressed"),
        *("full_adversarial", "full_matching", "judges"),
    )
    panels = (
        Panel(
            "SI-SDR gain, dB",
            {"noise_gain": "noise, 0 dB", "reverb_gain": "reverberation"},
        ),
        Panel("SI-SDR gain, dB", {"clipping_gain": "clipping", "loss_gain": "lost packets"}),
        Panel(
            "SI-SDR gain, dB",
            {"rates_gain": "other rates, noise", "worst_gain": "worst sub-network, noise"},
        ),
        Panel("fall of what is heard wrong, dB", {"heard_gain": "mean of four"}),
        Panel("voice activity", {"voice_right": "right frames"}),
    )

    def model(self) -> SEFlow:
        """Return a model with random weights of the scales that speech has."""
        model = SEFlow(self.config.model)
        prepare(model)
        return model

    def objective(self, model: nn.Module) -> SEFlowObjective:
        """Return the loss of the full network and a sub-network."""
        assert isinstance(model, SEFlow)  # noqa: S101 - made by `model`
        c = self.config
        return SEFlowObjective(model, c.loss, c.discriminators if c.judged else None)

    @property
    def partial(self) -> bool:
        """Some phases leave discriminators out."""
        return len({phase.adversarial for phase in self.config.phases}) > 1

    def factors(self) -> Mapping[str, float]:
        """Let what stands before and after the blocks learn slower."""
        return dict.fromkeys(("enc.", "dec."), self.config.band_rate)

    def load(self, split: Split, device: torch.device) -> dict[int, SoundBank]:
        """Load recordings and rooms at every rate that clips are made at."""
        c = self.config
        rates = sorted({bank_rate(rate) for rate in c.rates})
        return {
            rate: load_bank(c.data, split, c.rooms, seed=c.seed, sample_rate=rate).to(device)
            for rate in rates
        }

    def draw(
        self, bank: dict[int, SoundBank], draw: Draw, *, step: int, clips: int, seconds: float
    ) -> Degraded:
        """Draw a batch of the step's rate."""
        rates = self.config.rates
        rate = rates[step % len(rates)]
        hop = rate_hop(rate)
        return degrade(
            bank[bank_rate(rate)],
            self.config.simulation,
            draw,
            clips=clips,
            samples=max(1, int(seconds * rate) // hop) * hop,
            sample_rate=rate,
            teacher=self._teacher,
        )

    @cached_property
    def _teacher(self) -> Teacher | None:
        return Teacher() if self.config.simulation.taught else None

    def seconds(self, batch: Degraded) -> float:
        """Return the length of a clip."""
        return batch.seconds

    def options(self, progress: Progress, phase: Phase, share: float) -> dict[str, Any]:
        """Draw the sub-network and the window of a step, the same in all processes."""
        del share
        c = self.config
        draw = Draw(c.seed, progress.step, _SUB_NETWORK_KEY)
        which = int(draw.uniform(0, c.model.depth * c.model.n_heads, 1))
        window = c.loss.windows[int(draw.uniform(0, len(c.loss.windows), 1))]
        heads, depth = divmod(which, c.model.depth)
        sizes = {"depth": depth + 1, "heads": heads + 1, "window": window}
        return sizes | {"adversarial": phase.adversarial}

    def write_cases(self, folder: Path, seed: int | None, per_condition: int = 0) -> list[Path]:
        """Write cases of each degradation alone, at 16 kHz."""
        if per_condition:
            raise ArgumentError(f"conditions: {per_condition}, expected 0: degradations have none")
        from voxhop.training.seflow.cases import (  # noqa: PLC0415 - only here
            DegradedCaseConfig,
            write_degraded_cases,
        )

        settings = DegradedCaseConfig() if seed is None else DegradedCaseConfig(seed=seed)
        return write_degraded_cases(self.config.data, folder, settings)

    def judge(self, device: torch.device) -> SEFlowJudge:
        """Return the validation of this run."""
        return SEFlowJudge(self.config, self.load("valid", device))

    def line(self, record: dict[str, Any]) -> str:
        """Put a record into words."""
        if record["kind"] == "train":
            full, sub = record["full_linear"], record["sub_linear"]
            return f"loss {record['loss']:.4f}, linear {full:.4f} full, {sub:.4f} sub"
        if record["kind"] == "anchor":
            found = (f"{kind} {record[f'{kind}_input']:.1f}" for kind in KINDS)
            return f"SI-SDR of what comes in: {', '.join(found)} dB"
        return (
            f"score {record['score']:.2f}, SI-SDR gain: noise {record['noise_gain']:.1f}, "
            f"reverberation {record['reverb_gain']:.1f}, clipping {record['clipping_gain']:.1f}, "
            f"losses {record['loss_gain']:.1f}, worst sub-network {record['worst_gain']:.1f} dB; "
            f"what is heard wrong falls by {record['heard_gain']:.1f} dB"
        )

    def described(self, info: ModelInfo, trained: int) -> str:
        """Say what the model is."""
        c = self.config.model
        rates = ", ".join(f"{rate / 1000:g}" for rate in c.sample_rates)
        return f"""\
Noise suppression, dereverberation, declipping and concealment of lost packets without a
reference, 16 ms hops, at {rates} kHz. SEFlow of depth {c.depth} and {c.n_heads} heads of
{c.head_dim}: {c.depth * c.n_heads} networks in one, hops that see up to {c.time_window} of the
past. {trained:,} trained parameters, {info.macs_per_hop / 1e6:.1f} million multiply-accumulates
per hop of the full network at {info.sample_rate / 1000:g} kHz."""

    def in_words(self, figures: Figures) -> list[str]:
        """Return a line for every figure that is there."""
        titles = {
            "noise_gain": "SI-SDR gain in noise at 0 dB SNR",
            "reverb_gain": "in reverberation",
            "clipping_gain": "of clipped speech",
            "loss_gain": "with lost packets",
            "rates_gain": "in noise, mean of the other rates",
            "worst_gain": "in noise, worst of the sub-networks looked at",
            "heard_gain": "fall of the distance of equalised magnitudes, mean of the first four",
        }
        return [f"{text}: {figures[key]:+.1f} dB" for key, text in titles.items() if key in figures]

    @classmethod
    def read(cls, path: Path) -> SEFlow:
        """Read a model file."""
        return read_seflow(path)

    @classmethod
    def trainable(cls, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take the bands' scale out of the decoder's weights again."""
        return rescaled(weights)

    @classmethod
    def write(
        cls, model: nn.Module, path: Path, *, dtype: DataType, metadata: Mapping[str, Any]
    ) -> None:
        """Write a model file."""
        assert isinstance(model, SEFlow)  # noqa: S101 - made by `model` or `read`
        c = model.config
        every = tuple((b + 1, h + 1) for b in range(c.depth) for h in range(c.n_heads))
        write_seflow(model, path, dtype=dtype, metadata=metadata, subnets=every)
