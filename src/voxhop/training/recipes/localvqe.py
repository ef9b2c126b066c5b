"""LocalVQE's part of training: echo, noise and reverberation at 16 kHz, with a far end."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from voxhop.export import read_gguf, write_gguf
from voxhop.reference import LocalVQE
from voxhop.reference.front_end import with_echo_inputs
from voxhop.training.config import TrainingConfig
from voxhop.training.localvqe.judge import (
    CONSTANT_GAINS,
    Enhanced,
    build_clips,
    constant_gain,
    run_model,
    validate,
)
from voxhop.training.localvqe.objective import Objective
from voxhop.training.recipes.recipe import Figures, Panel, Recipe
from voxhop.training.simulation.conditions import CONDITIONS
from voxhop.training.simulation.hearing import FrontEnd, front_end_of
from voxhop.training.simulation.simulate import HOP, draw_scenarios, simulate
from voxhop.training.simulation.warm import Cancelled, cancelled, clips_of
from voxhop.training.sounds.bank import load_bank
from voxhop.training.sounds.corpus import SAMPLE_RATE
from voxhop.training.state import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from voxhop.export.model_file import DataType
    from voxhop.models import ModelInfo
    from voxhop.reference import LocalVQEConfig
    from voxhop.training.config import Phase
    from voxhop.training.draw import Draw
    from voxhop.training.simulation.simulate import Clips
    from voxhop.training.sounds.bank import SoundBank
    from voxhop.training.sounds.corpus import Split

TEMPERATURE = 0.1
"""Of the alignment in training; model files hold weights divided by it."""

_OVER_SUPPRESSION_RANGE = (0.5, 6.0)

_VALIDATION = (
    ("fe_suppression", "far-end suppression", ".1f"),
    ("change_suppression", "after a path change", ".1f"),
    ("noise_suppression", "noise suppression", ".1f"),
    ("dt_separation", "double-talk separation", ".1f"),
    ("dt_level", "double-talk near-end level", "+.1f"),
    ("dt_si_sdr_gain", "double-talk SI-SDR gain", "+.1f"),
    ("ne_si_sdr_gain", "near end in noise SI-SDR gain", "+.1f"),
    ("ne_level", "near end in noise level", "+.1f"),
)


class LocalVQERecipe(Recipe[TrainingConfig]):
    """See `Recipe`."""

    losses = ("loss", "spectral", "delay", "deep")
    panels = (
        Panel("separation, dB", {"dt_separation": "double talk", "ne_separation": "noise"}),
        Panel("SI-SDR gain, dB", {"dt_si_sdr_gain": "double talk", "ne_si_sdr_gain": "noise"}),
        Panel("near-end level, dB", {"dt_level": "double talk", "ne_level": "near end"}),
        Panel(
            "suppression, dB",
            {
                "fe_suppression": "far end",
                "change_suppression": "after path change",
                "noise_suppression": "noise",
            },
        ),
        Panel("delay accuracy", {"delay_accuracy": "within one frame"}),
    )

    def model(self) -> LocalVQE:
        """Return a model with random weights."""
        return LocalVQE(self.config.model)

    def objective(self, model: nn.Module) -> Objective:
        """Return the loss with its supervision heads."""
        assert isinstance(model, LocalVQE)  # noqa: S101 - made by `model`
        return Objective(model, self.config.loss)

    def load(self, split: Split, device: torch.device) -> SoundBank:
        """Load recordings and rooms."""
        c = self.config
        return load_bank(c.data, split, c.rooms, seed=c.seed).to(device)

    def fitted(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add inputs for the echo, of weight zero, where the run's model has them first."""
        first = weights.get("mic_enc1.conv.weight")
        if not self.config.model.sees_echo or first is None or first.shape[1] == 4:  # noqa: PLR2004
            return weights
        return with_echo_inputs(weights)

    def draw(
        self, bank: SoundBank, draw: Draw, *, step: int, clips: int, seconds: float
    ) -> Clips | Cancelled:
        """Draw scenarios and clips; let a canceller hear what is before them, and them."""
        del step  # `draw` depends on it
        simulation = self.config.simulation
        warm = self.config.warm
        samples = int(seconds * SAMPLE_RATE) // HOP * HOP + warm.samples
        scenario = draw_scenarios(simulation, draw, clips)
        batch = simulate(bank, simulation, draw, samples=samples, scenario=scenario)
        if self._front is None:
            return batch
        return cancelled(self._front, warm, draw, batch)

    @cached_property
    def _front(self) -> FrontEnd | None:
        return front_end_of(self.config.model)

    def seconds(self, batch: Clips | Cancelled) -> float:
        """Return the length of a clip."""
        return clips_of(batch).mic.shape[1] / SAMPLE_RATE

    def options(self, progress: Progress, phase: Phase, share: float) -> dict[str, Any]:
        """Return the steered weight and the phase's factors."""
        del share
        return {
            "over_suppression": progress.over_suppression,
            "delay_factor": phase.delay,
            "deep_factor": phase.deep,
            "align_only": phase.align_only,
        }

    def progress(self) -> Progress:
        """Return counters with the configured first weight."""
        return Progress(over_suppression=self.config.loss.over_suppression)

    def judge(self, device: torch.device) -> _Judge:
        """Return the validation of this run."""
        return _Judge(self.config, self.load("valid", device), device, self._front)

    def steer(self, progress: Progress, figures: Figures) -> None:
        """Raise the weight by half for a quiet near end, lower it by a third for a loud one."""
        limits = self.config.validation
        level_db = (figures["dt_level"] + figures["ne_level"]) / 2
        weight = progress.over_suppression
        if level_db < limits.quiet_db:
            weight *= 1.5
        elif level_db > limits.loud_db:
            weight /= 1.5
        lowest, highest = _OVER_SUPPRESSION_RANGE
        progress.over_suppression = min(max(weight, lowest), highest)

    def line(self, record: dict[str, Any]) -> str:
        """Put a record into words."""
        if record["kind"] == "train":
            return f"loss {record['loss']:.4f}, delay {record['delay']:.2f}"
        return (
            f"score {record['score']:.1f}, separation "
            f"{record['dt_separation']:.1f} / {record['ne_separation']:.1f} dB, level "
            f"{record['dt_level']:.1f} / {record['ne_level']:.1f} dB, SI-SDR gain "
            f"{record['dt_si_sdr_gain']:.1f} / {record['ne_si_sdr_gain']:.1f} dB"
        )

    def described(self, info: ModelInfo, trained: int) -> str:
        """Say what the model is."""
        shape = self.config.model
        longest_ms = (shape.d_max - 1) * 1000 * shape.hop_length // shape.sample_rate
        return f"""\
Joint echo cancellation, noise suppression and dereverberation, 16 kHz, 16 ms hops.
LocalVQE version {shape.version}, channels {_list(shape.mic_channels)} (microphone) and
{_list(shape.far_channels)} (reference), d_max {shape.d_max}: echo delays up to {longest_ms} ms.
{trained:,} trained parameters, {info.macs_per_hop / 1e6:.1f} million multiply-accumulates per
hop, sub-pixel shuffle `{shape.shuffle}`{_comfort(shape.comfort_noise_db)}.{_in_front(shape)}"""

    def in_words(self, figures: Figures) -> list[str]:
        """Return a line for every figure that is there."""
        lines = [
            f"{title}: {figures[key]:{form}} dB"
            for key, title, form in _VALIDATION
            if key in figures
        ]
        lines += [
            f"{name.replace('_', ' ')}, SI-SDR gain: {figures[f'{name}_si_sdr_gain']:+.1f} dB"
            for name in CONDITIONS
            if f"{name}_si_sdr_gain" in figures
        ]
        if "delay_accuracy" in figures:
            share = 100 * figures["delay_accuracy"]
            lines.append(f"delay within one frame: {share:.1f} % of echo frames after 1 s")
        return lines

    @classmethod
    def read(cls, path: Path) -> LocalVQE:
        """Read a model file."""
        return read_gguf(path)

    @classmethod
    def trainable(cls, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the alignment the temperature it is trained at.

        With a folded one its weights would be ten times larger, and the same rate a ten times
        smaller step.
        """
        temperature = weights.get("align.temperature")
        if temperature is not None and float(temperature) == 1.0:
            for name in ("align.conv.1.weight", "align.conv.1.bias"):
                weights[name] = weights[name] * TEMPERATURE
            weights["align.temperature"] = torch.full_like(temperature, TEMPERATURE)
        return weights

    @classmethod
    def write(
        cls, model: nn.Module, path: Path, *, dtype: DataType, metadata: Mapping[str, Any]
    ) -> None:
        """Write a model file."""
        assert isinstance(model, LocalVQE)  # noqa: S101 - made by `model` or `read`
        write_gguf(model, path, dtype=dtype, metadata=metadata)


def _comfort(noise_db: float | None) -> str:
    if noise_db is None:
        return ""
    return f""",
comfort noise {-noise_db:g} dB under the microphone's own where an echo is suppressed"""


def _in_front(shape: LocalVQEConfig) -> str:
    """Say what the microphone goes through before the network."""
    said = ""
    if shape.echo_partitions:
        milliseconds = 1000 * shape.echo_partitions * shape.hop_length // shape.sample_rate
        follower = " and a follower" if shape.echo_follower else ""
        said += f"""
Before the network: a linear canceller of {milliseconds} ms{follower} (`docs/canceller.md`)."""
    if shape.cancel_tones:
        said += """
Steady tones are taken before everything else (`docs/tones.md`)."""
    return said


def _list(channels: Sequence[int]) -> str:
    return ", ".join(str(count) for count in channels[1:])


class _Judge:
    def __init__(
        self,
        config: TrainingConfig,
        bank: SoundBank,
        device: torch.device,
        front: FrontEnd | None,
    ) -> None:
        self._bf16, self._device, self._front = config.precision == "bf16", device, front
        limits = config.validation
        self._fixed = build_clips(
            bank,
            config.simulation,
            per_scenario=limits.per_scenario,
            seconds=limits.seconds,
            seed=limits.seed,
            per_condition=limits.per_condition,
        )

    def anchors(self) -> Iterator[dict[str, float]]:
        for gain in CONSTANT_GAINS:
            yield {"gain": gain, **validate(constant_gain(gain), self._fixed)}

    def figures(self, model: nn.Module) -> Figures:
        assert isinstance(model, LocalVQE)  # noqa: S101 - the objective's

        def enhance(clips: Clips) -> Enhanced:
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
                return run_model(model, clips, front=self._front)

        return validate(enhance, self._fixed)
