"""Trained weights as model files: f32 to train on from, f16 for the package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from voxhop.errors import ArgumentError
from voxhop.export import write_gguf
from voxhop.training.bank import load_bank
from voxhop.training.start import load_model
from voxhop.training.validate import build_clips, run_model, validate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from voxhop.training.config import TrainingConfig

LICENSE = "apache-2.0"


@dataclass(frozen=True)
class Published:
    """Files written by `publish`."""

    full: Path
    half: Path


def publish(checkpoint: Path, folder: Path, *, name: str, card: str = "") -> Published:
    """Write a checkpoint's model as ``<name>-f32.gguf`` and ``<name>.gguf`` (f16).

    Parameters
    ----------
    checkpoint : Path
        A ``best.pt`` of `voxhop.training.loop`, or any state dict whose configuration
        is that of the released layout.
    folder : Path
        Target; made when missing.
    name : str
        ``general.name`` and stem of the files.
    card : str
        Model card, stored in both files under ``voxhop.model_card``.

    Raises
    ------
    ArgumentError
        If the checkpoint is no state dict.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, str | int | float | bool] = {
        "general.name": name,
        "general.license": LICENSE,
    }
    if card:
        metadata["voxhop.model_card"] = card
    model = load_model(checkpoint)
    files = Published(folder / f"{name}-f32.gguf", folder / f"{name}.gguf")
    write_gguf(model, files.full, dtype="f32", metadata=metadata)
    write_gguf(model, files.half, dtype="f16", metadata=metadata)
    return files


def compare(paths: Sequence[Path], config: TrainingConfig) -> dict[str, Mapping[str, float]]:
    """Score model files on one fixed validation set, in float32.

    Parameters
    ----------
    paths : sequence of Path
        ``.pt`` or ``.gguf`` files.
    config : TrainingConfig
        Whose data, rooms and validation settings make the set.

    Returns
    -------
    dict
        Figures of `voxhop.training.validate.validate` by path.
    """
    if not paths:
        raise ArgumentError("paths: empty, expected at least one model file")
    limits = config.validation
    bank = load_bank(config.data, "valid", config.rooms, seed=config.seed)
    clips = build_clips(
        bank,
        config.simulation,
        per_scenario=limits.per_scenario,
        seconds=limits.seconds,
        seed=limits.seed,
    )
    scores: dict[str, Mapping[str, float]] = {}
    for path in paths:
        scores[str(path)] = validate(partial(run_model, load_model(path).eval()), clips)
    return scores
