"""Validation cases of a microphone alone: noise, rooms, clipping and lost packets on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxhop.stream.losses import LossTrace
from voxhop.training.draw import Draw
from voxhop.training.seflow.judge import KINDS
from voxhop.training.simulation.degrade import degrade
from voxhop.training.sounds.bank import DataConfig, load_bank
from voxhop.training.sounds.corpus import SAMPLE_RATE
from voxhop.training.sounds.rooms import RoomConfig

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_HOP = 256


@dataclass(frozen=True)
class DegradedCaseConfig:
    """How many cases of each kind, and how long.

    Attributes
    ----------
    of_each : int
        Cases of each of "noise" (0 dB SNR), "reverb", "clipping" and "loss".
    seconds : float
        Length of a case.
    seed : int
        Cases depend on it, on the recordings and on this configuration only.
    rooms : int
        Simulated rooms.
    lost_share : float
        Of the packets of 20 ms, in bursts of 20 to 120 ms.
    """

    of_each: int = 16
    seconds: float = 8.0
    seed: int = 20263
    rooms: int = 40
    lost_share: float = 0.1


def write_degraded_cases(data: DataConfig, folder: Path, config: DegradedCaseConfig) -> list[Path]:
    """Write the cases of a corpus's valid split.

    Parameters
    ----------
    data : DataConfig
        Recordings and cache.
    folder : Path
        Receives one folder per case with ``mic.wav``, ``target.wav`` (16-bit, 16 kHz) and
        ``meta.json``, and for "loss" ``losses.txt``; its ``mic.wav`` is what was sent.
    config : DegradedCaseConfig
        Numbers and seed.

    Returns
    -------
    list of Path
        The case folders.
    """
    bank = load_bank(data, "valid", RoomConfig(count=config.rooms), seed=config.seed)
    samples = int(config.seconds * SAMPLE_RATE) // _HOP * _HOP
    written = []
    for row, (kind, settings) in enumerate(KINDS.items()):
        batch = degrade(
            bank,
            replace(settings, packet_loss=0.0),
            Draw(config.seed, row),
            clips=config.of_each,
            samples=samples,
            sample_rate=SAMPLE_RATE,
        )
        for number, (noisy, target) in enumerate(zip(batch.noisy, batch.target, strict=True)):
            case = folder / f"{kind}-{number:03d}"
            _write(case, {"mic": noisy, "target": target})
            meta = {"id": case.name, "scenario": kind, "seed": config.seed}
            (case / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
            if kind == "loss":
                trace = LossTrace.simulate(
                    config.lost_share, config.seconds, seed=config.seed + number
                )
                trace.write(case / "losses.txt")
            written.append(case)
    return written


def _write(case: Path, audio: dict[str, Tensor]) -> None:
    import soundfile  # noqa: PLC0415 - heavy imports stay where files are written

    case.mkdir(parents=True, exist_ok=True)
    for name, signal in audio.items():
        pcm = np.round(signal.numpy().clip(-1, 1) * 32767).astype(np.int16)
        soundfile.write(case / f"{name}.wav", pcm, SAMPLE_RATE, subtype="PCM_16")
