"""Fixed validation clips and the figures by which runs and checkpoints are compared."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from voxhop.training.draw import Draw
from voxhop.training.losses.si_sdr import si_sdr
from voxhop.training.simulation.conditions import CONDITIONS, NEAR_ONLY, ConditionsConfig
from voxhop.training.simulation.simulate import HOP, Clips, Scenario, simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from voxhop.reference import LocalVQE
    from voxhop.training.simulation.hearing import FrontEnd
    from voxhop.training.simulation.simulate import SimulationConfig
    from voxhop.training.sounds.bank import SoundBank

SAMPLE_RATE = 16000
CONSTANT_GAINS = (1.0, 0.3, 0.1, 0.01)
"""Volume knobs printed beside every model: what it must beat to have learnt anything."""

_FRAME = 320
_SILENT = 1e-5
_AFTER_S = 1.0


class Enhanced(NamedTuple):
    """Audio (clips, samples) in line with the microphone, and alignment (B, T, D)."""

    audio: Tensor
    align: Tensor | None


class FixedSet(NamedTuple):
    """Validation clips: one batch per scenario, far-end clips whose path changes, conditions."""

    scenes: dict[Scenario, Clips]
    change: Clips
    conditions: dict[str, Clips]


def build_clips(
    bank: SoundBank,
    config: SimulationConfig,
    *,
    per_scenario: int,
    seconds: float,
    seed: int,
    per_condition: int = 0,
) -> FixedSet:
    """Draw the fixed set: the same clips for the same bank, configuration and seed.

    Parameters
    ----------
    bank : SoundBank
        Of the valid split.
    config : SimulationConfig
        As in training.
    per_scenario : int
        Clips of each of the five scenarios.
    seconds : float
        Length of each.
    seed : int
        Its own seed, apart from the training's.
    per_condition : int
        Clips with each condition whose chance is not zero, and that one alone: without echo
        where that tells it, else in double talk.
    """
    samples = int(seconds * SAMPLE_RATE) // HOP * HOP
    device = bank.rooms.device

    def batch(
        scenario: Scenario, settings: SimulationConfig, key: int, clips: int = per_scenario
    ) -> Clips:
        which = torch.full((clips,), int(scenario), device=device)
        draw = Draw(seed, key, device=device)
        return simulate(bank, settings, draw, samples=samples, scenario=which)

    usual = replace(config, conditions=ConditionsConfig())
    scenes = {scenario: batch(scenario, usual, int(scenario)) for scenario in Scenario}
    changing = replace(usual, path_change=1.0, far_gate=0.0)
    conditions = {}
    for number, name in enumerate(CONDITIONS, start=1 + len(Scenario)):
        if per_condition and getattr(config.conditions, name) > 0:
            alone = replace(usual, conditions=ConditionsConfig(**{name: 1.0}))
            scenario = Scenario.NEAR_END if name in NEAR_ONLY else Scenario.DOUBLE_TALK
            conditions[name] = batch(scenario, alone, number, per_condition)
    return FixedSet(scenes, batch(Scenario.FAR_END, changing, len(Scenario)), conditions)


def constant_gain(gain: float) -> Callable[[Clips], Enhanced]:
    """Return a "model" that is a volume knob."""
    return lambda clips: Enhanced(gain * clips.mic, None)


@torch.no_grad()
def run_model(
    model: LocalVQE, clips: Clips, *, front: FrontEnd | None = None, batch: int = 4
) -> Enhanced:
    """Enhance clips and remove the lag of one hop; `front` may run the model's front-end."""
    audio, align = [], []
    for first in range(0, len(clips.mic), batch):
        rows = slice(first, first + batch)
        # One more hop of silence brings out the last hop of audio.
        pad = torch.nn.functional.pad
        mic, ref = (pad(side[rows], (0, HOP)) for side in (clips.mic, clips.ref))
        echo = None if front is None else front(mic, ref)
        output, _ = model(mic, ref, synthesize=False, echo=echo)
        # What the network leaves, without comfort noise.
        with torch.autocast(mic.device.type, enabled=False):
            left, _ = model.decoder(output.spectrum)
        audio.append(left[:, HOP:].float())
        align.append(output.align[:, :-1].float())
    return Enhanced(torch.cat(audio), torch.cat(align))


def validate(enhance: Callable[[Clips], Enhanced], fixed: FixedSet) -> dict[str, float]:
    """Score an enhancer on the fixed set.

    Returns
    -------
    dict
        ``fe_suppression`` (dB); per near-end scenario its ``level`` (median ratio of
        output to target over target-active frames, dB), ``si_sdr_gain`` (dB, clips
        with a target) and ``separation`` = suppression + level, which no constant
        gain can change; ``noise_suppression``; ``change_suppression`` (the second
        after a path change); ``delay_accuracy`` (within one frame, after 1 s);
        ``<condition>_si_sdr_gain`` of each condition in the set;
        ``score``, the figure checkpoints compete by.
    """
    clips = fixed.scenes
    enhanced = {scenario: enhance(batch) for scenario, batch in clips.items()}

    def suppression(scenario: Scenario) -> float:
        return _mean(_suppression(clips[scenario].mic, enhanced[scenario].audio))

    figures = {
        "fe_suppression": suppression(Scenario.FAR_END),
        "noise_suppression": suppression(Scenario.NOISE),
        "change_suppression": _mean(_after_change(fixed.change, enhance(fixed.change).audio)),
    }
    near = (
        ("dt", Scenario.DOUBLE_TALK, "fe_suppression"),
        ("ne", Scenario.NEAR_END, "noise_suppression"),
        ("hp", Scenario.HEADPHONES, "noise_suppression"),
    )
    for name, scenario, removed in near:
        batch, out = clips[scenario], enhanced[scenario].audio
        figures[f"{name}_level"] = _mean(near_level(out, batch.target))
        gains = si_sdr(out, batch.target) - si_sdr(batch.mic, batch.target)
        present = batch.target.square().mean(1) > _SILENT**2
        figures[f"{name}_si_sdr_gain"] = _mean(gains[present])
        figures[f"{name}_separation"] = figures[removed] + figures[f"{name}_level"]
    for name, batch in fixed.conditions.items():
        gains = si_sdr(enhance(batch).audio, batch.target) - si_sdr(batch.mic, batch.target)
        figures[f"{name}_si_sdr_gain"] = _mean(gains)
    echoes = (Scenario.FAR_END, Scenario.DOUBLE_TALK)
    figures["delay_accuracy"] = _delay_accuracy((clips[s], enhanced[s].align) for s in echoes)
    figures["score"] = score(figures)
    return figures


def score(figures: dict[str, float]) -> float:
    """Mean separation in double talk and noise, less what a too quiet near end costs.

    Two dB for each dB of near-end level below -3, so that removing echo together with
    the talker never wins; plus the SI-SDR gains, which only a real separation moves.
    """
    quiet = min(figures["dt_level"], figures["ne_level"])
    separation = (figures["dt_separation"] + figures["ne_separation"]) / 2
    gains = figures["dt_si_sdr_gain"] + figures["ne_si_sdr_gain"]
    return separation + gains - 2 * max(0.0, -3.0 - quiet)


def near_level(audio: Tensor, target: Tensor) -> Tensor:
    """Median over target-active 20 ms frames of output to target energy, dB per clip."""
    out, wanted = _frame_power(audio), _frame_power(target)
    levels = []
    for out_row, wanted_row in zip(out, wanted, strict=True):
        active = wanted_row > 1e-3 * wanted_row.max()
        if wanted_row.max() > _SILENT**2:
            ratio = (out_row[active] + 1e-12) / wanted_row[active]
            levels.append(10 * torch.log10(ratio).median())
    return torch.stack(levels) if levels else audio.new_zeros(0)


def _suppression(mic: Tensor, audio: Tensor) -> Tensor:
    before, after = mic.square().sum(1), audio.square().sum(1)
    return 10 * torch.log10((before + 1e-9) / (after + 1e-9))


def _after_change(clips: Clips, audio: Tensor) -> Tensor:
    """Suppression in the second after each echo-path change, dB per changed clip."""
    rows = []
    for index in torch.nonzero(clips.change_sample >= 0)[:, 0].tolist():
        start = int(clips.change_sample[index])
        part = slice(start, start + int(_AFTER_S * SAMPLE_RATE))
        rows.append(
            _suppression(clips.mic[index : index + 1, part], audio[index : index + 1, part])
        )
    return torch.cat(rows) if rows else audio.new_zeros(0)


def _delay_accuracy(batches: Iterable[tuple[Clips, Tensor | None]]) -> float:
    """Share of echo-active frames after 1 s whose strongest delay is within one frame."""
    right, total = 0, 0
    first = int(_AFTER_S * SAMPLE_RATE) // HOP
    for clips, align in batches:
        if align is None:
            return math.nan
        found = align.shape[2] - 1 - align[:, first:].argmax(2)
        close = (found - clips.delay_frames[:, first:]).abs() <= 1.0
        valid = clips.delay_valid[:, first:]
        right += int((close & valid).sum())
        total += int(valid.sum())
    return right / max(total, 1)


def _frame_power(audio: Tensor) -> Tensor:
    whole = audio.shape[1] // _FRAME * _FRAME
    return audio[:, :whole].reshape(len(audio), -1, _FRAME).square().mean(2)


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else math.nan
