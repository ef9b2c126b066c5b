"""Validation cases on disk: fixed clips that ``voxhop eval --cases`` scores."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from voxhop.training.draw import Draw
from voxhop.training.simulation.conditions import CONDITIONS, NEAR_ONLY, ConditionsConfig
from voxhop.training.simulation.simulate import HOP, Clips, Scenario, SimulationConfig, simulate
from voxhop.training.sounds.bank import DataConfig, SoundBank, load_bank
from voxhop.training.sounds.corpus import SAMPLE_RATE
from voxhop.training.sounds.rooms import PEAK_SAMPLE, RoomConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

_EVERY_CHANGE = 3
"""Every third far-end and double-talk case changes its echo path."""


@dataclass(frozen=True)
class CaseConfig:
    """How many cases of each kind, and how long.

    Attributes
    ----------
    far_end, double_talk, near_end, noise, reverberation : int
        Cases per scenario.
    seconds : float
        Length of a case.
    seed : int
        Cases depend on it, on the recordings and on this configuration only.
    rooms : int
        Simulated rooms; half as many more reverberant ones for that scenario.
    per_condition : int
        Further cases with each of `CONDITIONS`; those before them are the same without any.
    """

    far_end: int = 14
    double_talk: int = 18
    near_end: int = 8
    noise: int = 12
    reverberation: int = 8
    seconds: float = 10.0
    seed: int = 20262
    rooms: int = 40
    per_condition: int = 0


class _Kind(NamedTuple):
    label: str
    scene: Scenario
    cases: int
    settings: SimulationConfig
    changes: bool = False
    has_reference: bool = True
    condition: str | None = None

    @property
    def has_echo(self) -> bool:
        return self.scene in (Scenario.FAR_END, Scenario.DOUBLE_TALK)


_BASE = SimulationConfig(
    near_gate=0.0,
    far_gate=0.0,
    drift=0.0,
    clipping=0.0,
    altered_reference=0.0,
    near_dbfs=(-34.0, -20.0),
    far_end_dbfs=(-34.0, -20.0),
    near_to_echo_db=(-10.0, 10.0),
)


def write_cases(data: DataConfig, folder: Path, config: CaseConfig) -> list[Path]:
    """Write the cases of a corpus's valid split.

    Parameters
    ----------
    data : DataConfig
        Recordings and cache.
    folder : Path
        Receives one folder per case with ``mic.wav``, ``ref.wav`` (echo cases, and a
        silent one in near-end cases), ``target.wav``, ``nearend.wav`` (16-bit, 16 kHz)
        and ``meta.json``: ``id``, ``scenario`` ("farend", "doubletalk", "nearend",
        "noise", "reverb"), ``echo_path_change``, ``change_s``, ``delay_ms`` (before and
        after a change), ``near_to_echo_db``, ``snr_db``, ``seed`` and, where there is one,
        ``condition``. Cases with echo
        also have ``delay.json``, the echo's delay in every hop; cases without have
        ``unheard.wav``, a far end that plays into headphones.
    config : CaseConfig
        Numbers and seed.

    Returns
    -------
    list of Path
        The case folders.
    """
    usual = RoomConfig(count=config.rooms, rt60_s=(0.15, 0.9))
    bank = load_bank(data, "valid", usual, seed=config.seed)
    echoing = RoomConfig(count=max(config.rooms // 2, 1), rt60_s=(0.5, 0.9), coupled=0.0)
    reverberant = load_bank(data, "valid", echoing, seed=config.seed)
    written = []
    for number, (kind, settings) in enumerate((*_plan(config), *_conditions(config, bank))):
        chosen = reverberant if kind.label == "reverb" else bank
        clips = _simulate(chosen, settings, kind.scene, config, number)
        case = folder / f"{kind.label}-{number:03d}"
        _write(case, clips, kind, config.seed)
        written.append(case)
    return written


def _plan(config: CaseConfig) -> Iterator[tuple[_Kind, SimulationConfig]]:
    """List every case's kind and settings, in the order of the scenarios."""
    echo = replace(_BASE, snr_db=(15.0, 30.0), quiet_snr_db=(20.0, 40.0))
    talk = replace(echo, near_start_s=(0.5, 3.0), snr_db=(10.0, 30.0), quiet_snr_db=(15.0, 30.0))
    clean = replace(_BASE, snr_db=(15.0, 30.0), quiet_snr_db=(15.0, 30.0))
    noisy = replace(_BASE, snr_db=(0.0, 20.0), quiet_snr_db=(0.0, 20.0))
    distant = replace(_BASE, snr_db=(30.0, 45.0), quiet_snr_db=(30.0, 45.0))
    # The far end plays, but not into the microphone: the mix is that of NEAR_END.
    near = Scenario.HEADPHONES
    far, both = Scenario.FAR_END, Scenario.DOUBLE_TALK
    kinds = (
        _Kind("farend", far, config.far_end, echo, changes=True),
        _Kind("doubletalk", both, config.double_talk, talk, changes=True),
        _Kind("nearend", near, config.near_end, clean),
        _Kind("noise", near, config.noise, noisy, has_reference=False),
        _Kind("reverb", near, config.reverberation, distant, has_reference=False),
    )
    for kind in kinds:
        for index in range(kind.cases):
            changes = kind.changes and index % _EVERY_CHANGE == _EVERY_CHANGE - 1
            jumps = changes and index // _EVERY_CHANGE % 2 == 0
            yield (
                kind,
                replace(kind.settings, path_change=float(changes), delay_jump=float(jumps)),
            )


def _conditions(config: CaseConfig, bank: SoundBank) -> Iterator[tuple[_Kind, SimulationConfig]]:
    """List the cases of every condition that the corpus has sounds for."""
    settings = replace(
        _BASE, near_start_s=(0.5, 2.0), snr_db=(20.0, 30.0), quiet_snr_db=(20.0, 30.0), music=0.0
    )
    for name in CONDITIONS:
        if (name == "keyboard" and bank.keyboard is None) or (
            name in ("media", "singing") and bank.music is None
        ):
            continue
        with_it = replace(settings, conditions=ConditionsConfig(**{name: 1.0}))
        kind = _Kind("doubletalk", Scenario.DOUBLE_TALK, 0, with_it, condition=name)
        if name in NEAR_ONLY:
            kind = _Kind("nearend", Scenario.NEAR_END, 0, with_it, condition=name)
        yield from ((kind, with_it) for _ in range(config.per_condition))


def _simulate(
    bank: SoundBank, settings: SimulationConfig, scene: Scenario, config: CaseConfig, number: int
) -> Clips:
    samples = int(config.seconds * SAMPLE_RATE) // HOP * HOP
    draw = Draw(config.seed, number)
    return simulate(bank, settings, draw, samples=samples, scenario=torch.tensor([int(scene)]))


def _write(case: Path, clips: Clips, kind: _Kind, seed: int) -> None:
    import soundfile  # noqa: PLC0415 - heavy imports stay where files are written

    case.mkdir(parents=True, exist_ok=True)
    audio = {"mic": clips.mic, "target": clips.target, "nearend": clips.near}
    if kind.scene == Scenario.HEADPHONES:
        audio["unheard"] = clips.ref
    if kind.has_reference:
        audio["ref"] = clips.ref if kind.has_echo else torch.zeros_like(clips.ref)
    for name, signal in audio.items():
        pcm = np.round(signal[0].numpy().clip(-1, 1) * 32767).astype(np.int16)
        soundfile.write(case / f"{name}.wav", pcm, SAMPLE_RATE, subtype="PCM_16")
    meta = {"id": case.name, "scenario": kind.label, "seed": seed, **_measures(clips, kind)}
    (case / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    if kind.has_echo:
        (case / "delay.json").write_text(json.dumps(_delays(clips)) + "\n")


def _delays(clips: Clips) -> dict[str, Any]:
    """Describe the echo's delay per hop in samples, None where the echo is not audible."""
    found = zip(clips.delay_frames[0].tolist(), clips.delay_valid[0].tolist(), strict=True)
    samples = [round(frames * HOP, 1) if audible else None for frames, audible in found]
    return {"hop_samples": HOP, "delay_samples": samples}


def _measures(clips: Clips, kind: _Kind) -> dict[str, Any]:
    """Describe one case: delays, path change and level ratios as they came out."""
    change = int(clips.change_sample[0])
    rest = clips.mic - clips.near  # echo and noise together
    values: dict[str, Any] = {
        "echo_path_change": change >= 0,
        "change_s": change / SAMPLE_RATE if change >= 0 else None,
    }
    if kind.condition is not None:
        values["condition"] = kind.condition
    if kind.has_echo:
        frames = clips.delay_frames[0] * HOP - PEAK_SAMPLE
        values["delay_ms"] = round(float(frames[0]) / SAMPLE_RATE * 1000, 1)
        values["last_delay_ms"] = round(float(frames[-1]) / SAMPLE_RATE * 1000, 1)
    if kind.scene != Scenario.FAR_END:
        name = "near_to_echo_db" if kind.scene == Scenario.DOUBLE_TALK else "snr_db"
        values[name] = round(_ratio_db(clips.near, rest), 1)
    return values


def _ratio_db(one: Tensor, other: Tensor) -> float:
    ratio = one.square().sum() / other.square().sum().clamp(min=1e-12)
    return float(10 * torch.log10(ratio))
