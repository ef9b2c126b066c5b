"""Sublime's part of training: a codec, then its vocoder against discriminators, or a front-end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxhop.errors import ArgumentError
from voxhop.export.sublime import read_sublime, write_sublime
from voxhop.reference.sublime import Sublime
from voxhop.training.config import SublimeTrainingConfig
from voxhop.training.draw import Draw
from voxhop.training.recipes.recipe import Figures, Panel, Recipe
from voxhop.training.sounds.bank import load_bank
from voxhop.training.sublime.clips import draw_batch
from voxhop.training.sublime.judge import SublimeJudge
from voxhop.training.sublime.objective import CodecObjective, FrontEndObjective
from voxhop.training.sublime.start import fit_codec, fit_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from voxhop.export.model_file import DataType
    from voxhop.models import ModelInfo
    from voxhop.training.config import Phase
    from voxhop.training.sounds.bank import SoundBank
    from voxhop.training.sounds.corpus import Split
    from voxhop.training.state import Progress
    from voxhop.training.sublime.objective import SublimeBatch

_FIT_KEY = 52711  # keeps these clips apart from those of steps
_FIT_CLIPS = 64


class SublimeRecipe(Recipe[SublimeTrainingConfig]):
    """See `Recipe`."""

    losses = (
        *("loss", "mel", "mfcc", "magnitude", "delay", "texture", "rwss"),
        *("adversarial", "matching", "judges", "right"),
    )
    panels = (
        Panel("mel distance, 6 kbit/s", {"clean_6": "clean", "noisy_6": "noisy"}),
        Panel("mel distance, 1 kbit/s", {"clean_1": "clean", "noisy_1": "noisy"}),
        Panel("codes in use", {"usage": "mean", "least_used": "worst group"}),
        Panel("perplexity of codes", {"perplexity": "mean"}),
        Panel("codes of the front-end", {"right": "right in noise"}),
    )

    def model(self) -> Sublime:
        """Return a model with random weights."""
        return Sublime(self.config.model.config)

    def objective(self, model: nn.Module) -> CodecObjective | FrontEndObjective:
        """Return the codec's loss, or the front-end's."""
        assert isinstance(model, Sublime)  # noqa: S101 - made by `model`
        if self.config.track == 2:  # noqa: PLR2004 - its name
            if not self.config.initial:
                raise ArgumentError("initial: empty, expected the codec that track 2 speaks to")
            return FrontEndObjective(model)
        c = self.config
        judges = c.discriminators if c.judged else None
        if all(phase.vocoder_only for phase in c.phases):
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name.startswith(("voc.", "vq.value")))
        return CodecObjective(model, c.loss, floor=c.annealing.floor, discriminators=judges)

    @property
    def partial(self) -> bool:
        """Discriminators leave the encoder out, and other phases leave discriminators out."""
        kinds = {(phase.vocoder_only, phase.adversarial) for phase in self.config.phases}
        return len(kinds) > 1

    def load(self, split: Split, device: torch.device) -> SoundBank:
        """Load recordings and rooms."""
        c, rate = self.config, self.config.model.sample_rate
        return load_bank(c.data, split, c.rooms, seed=c.seed, sample_rate=rate).to(device)

    def begin(self, objective: nn.Module, bank: SoundBank, new: AbstractSet[str]) -> None:
        """Fit new encoders, and a new codec, to the recordings."""
        model = objective.get_submodule("model")
        assert isinstance(model, Sublime)  # noqa: S101 - made by `model`
        parts = {name.partition(".")[0] for name in new}
        if parts.isdisjoint({"enc", "fe"}):
            return
        draw = Draw(self.config.seed, _FIT_KEY, device=bank.rooms.device)
        batch = self.draw(bank, draw, step=0, clips=_FIT_CLIPS, seconds=2.0)
        if {"enc", "vq", "voc"} <= parts:
            fit_codec(model, batch.noisy, batch.target)
        if "fe" in parts and model.fe is not None:
            fit_encoder(model, model.fe, batch.noisy)

    def factors(self) -> Mapping[str, float]:
        """Let what decides on codes learn slower than what makes sound of them."""
        return dict.fromkeys(("enc.", "vq.key"), self.config.encoder_rate)

    def draw(
        self, bank: SoundBank, draw: Draw, *, step: int, clips: int, seconds: float
    ) -> SublimeBatch:
        """Draw a batch of whole code frames."""
        del step  # `draw` depends on it
        c, hop = self.config, self.config.model.hop_length
        return draw_batch(
            bank,
            c.simulation,
            draw,
            clips=clips,
            samples=max(4, int(seconds * c.model.sample_rate) // hop) * hop,
            dropped=c.loss.dropped,
        )

    def seconds(self, batch: SublimeBatch) -> float:
        """Return the length of a clip."""
        return batch.noisy.shape[1] / self.config.model.sample_rate

    def options(self, progress: Progress, phase: Phase, share: float) -> dict[str, Any]:
        """Return the temperature of a step, or that codes are given and discriminators judge."""
        del progress
        if self.config.track == 2:  # noqa: PLR2004 - its name
            return {}
        annealed = sum(p.share for p in self.config.phases if not p.vocoder_only)
        spent = 1.0 if annealed == 0 else min(1.0, share / annealed)
        heat = self.config.annealing.temperature(spent)
        only = {"adversarial": phase.adversarial, "frozen": phase.vocoder_only}
        return {"temperature": heat, **only}

    def judge(self, device: torch.device) -> SublimeJudge:
        """Return the validation of this run."""
        return SublimeJudge(self.config, self.load("valid", device))

    def line(self, record: dict[str, Any]) -> str:
        """Put a record into words."""
        if record["kind"] == "train":
            if "right" in record:
                return f"loss {record['loss']:.3f}, {record['right']:.1%} of codes right"
            heat, used = record["temperature"], record["usage"]
            return (
                f"loss {record['loss']:.3f}, mel {record['mel']:.3f}, "
                f"temperature {heat:.2g}, {used:.0%} of codes in the batch"
            )
        if record["kind"] == "anchor":
            silence, input_ = record["silence_mel"], record["input_mel"]
            return f"mel distance of silence {silence:.3f}, of noisy input {input_:.3f}"
        right = f", {record['right']:.1%} of codes right" if "right" in record else ""
        return (
            f"score {record['score']:.3f}, mel distance at 6 and 1 kbit/s: clean "
            f"{record['clean_6']:.3f} / {record['clean_1']:.3f}, noisy {record['noisy_6']:.3f} / "
            f"{record['noisy_1']:.3f}; {record['usage']:.0%} of codes in use{right}"
        )

    def described(self, info: ModelInfo, trained: int) -> str:
        """Say what the model is."""
        c = self.config.model
        front = (
            " A front-end tells the codes of the clean voice from noisy and reverberant speech, "
            "20 ms later."
            if c.frontend
            else ""
        )
        return f"""\
A speech codec of 6 and 1 kbit/s at {info.sample_rate / 1000:g} kHz, 30 ms from sound to sound:
Sublime of width {c.width}, an encoder and a vocoder around 24 groups of 32 codes per 20 ms, of
which the first four alone are 1 kbit/s.{front} {trained:,} trained parameters. The target of
training is the undegraded speech at the same level, so mild noise and reverberation are taken
away; what a recording has no band for stays without."""

    def in_words(self, figures: Figures) -> list[str]:
        """Return a line for every figure that is there."""
        titles = {
            "clean_6": "mel distance of clean speech at 6 kbit/s",
            "clean_1": "at 1 kbit/s",
            "noisy_6": "of noisy speech from the clean at 6 kbit/s",
            "noisy_1": "at 1 kbit/s",
            "usage": "share of codes in use",
            "least_used": "in the worst group",
            "perplexity": "perplexity of codes, of 32",
            "right": "share of the front-end's codes that are those of clean speech",
        }
        return [f"{text}: {figures[key]:.3f}" for key, text in titles.items() if key in figures]

    @classmethod
    def read(cls, path: Path) -> Sublime:
        """Read a model file."""
        return read_sublime(path)

    @classmethod
    def trainable(cls, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return them as they are: lengths of keys do not matter."""
        return weights

    @classmethod
    def write(
        cls, model: nn.Module, path: Path, *, dtype: DataType, metadata: Mapping[str, Any]
    ) -> None:
        """Write a model file."""
        assert isinstance(model, Sublime)  # noqa: S101 - made by `model` or `read`
        write_sublime(model, path, dtype=dtype, metadata=metadata)
