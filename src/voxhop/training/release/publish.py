"""Trained weights as model files: f32 to train on from, f16 for the package."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

import voxhop
from voxhop.errors import ArgumentError, ModelFileError
from voxhop.reference import LocalVQE
from voxhop.training.config import RunConfig, TrainingConfig, from_table
from voxhop.training.localvqe.judge import build_clips, run_model, validate
from voxhop.training.release.card import CardNotes, model_card
from voxhop.training.run.start import load_model, recipe_of_file
from voxhop.training.simulation.hearing import front_end_of
from voxhop.training.sounds.bank import load_bank

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any


LICENSE = "apache-2.0"


@dataclass(frozen=True)
class Published:
    """Files written by `publish`."""

    full: Path
    half: Path


def publish(checkpoint: Path, folder: Path, *, name: str = "", card: str = "") -> Published:
    """Write a checkpoint's model as ``<name>-f32.gguf`` and ``<name>.gguf`` (f16).

    Parameters
    ----------
    checkpoint : Path
        ``best.pt`` or ``last.pt`` of a run, finished or not, or a state dict of the
        released layout. Of ``last.pt`` the averaged weights are written.
    folder : Path
        Target; made when missing.
    name : str
        ``general.name`` and stem of the files; empty: the name in the run's configuration.
    card : str
        Model card, stored in both files under ``voxhop.model_card``.

    Raises
    ------
    ArgumentError
        If there is no name in the checkpoint and none was given.
    ModelFileError
        If the checkpoint cannot be read, or is none.
    """
    name = name or run_config(checkpoint).name
    try:
        model = load_model(checkpoint)
    except (RuntimeError, KeyError, TypeError) as error:
        raise ModelFileError(f"{checkpoint}: not a checkpoint of a model ({error})") from error
    folder.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, str | int | float | bool] = {
        "general.name": name,
        "general.license": LICENSE,
    }
    if card:
        metadata["voxhop.model_card"] = card
    files = Published(folder / f"{name}-f32.gguf", folder / f"{name}.gguf")
    recipe = recipe_of_file(checkpoint)
    recipe.write(model, files.full, dtype="f32", metadata=metadata)
    recipe.write(model, files.half, dtype="f16", metadata=metadata)
    return files


def publish_with_card(
    checkpoint: Path,
    folder: Path,
    *,
    name: str = "",
    notes: CardNotes | None = None,
    results: Mapping[str, Any] | None = None,
) -> Published:
    """Do what `publish` does, with a card, also as ``MODEL_CARD.md`` in the folder.

    Arguments are those of `publish` and `voxhop.training.release.card.model_card`.
    """
    name = name or run_config(checkpoint).name
    files = publish(checkpoint, folder, name=name)
    with voxhop.load(files.full) as model:
        info = model.info
    card = model_card(checkpoint, info, name=name, notes=notes, results=results)
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    return publish(checkpoint, folder, name=name, card=card)


def run_config(checkpoint: Path) -> RunConfig:
    """Read the configuration of the run that wrote a checkpoint.

    Raises
    ------
    ArgumentError
        If the file holds none.
    ModelFileError
        If the file cannot be read.
    """
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise ModelFileError(f"{checkpoint}: not a readable checkpoint ({error})") from error
    if not isinstance(content, dict) or "config" not in content:
        raise ArgumentError(f"{checkpoint}: holds no configuration, expected a best.pt or last.pt")
    return from_table(RunConfig, content["config"], where=str(checkpoint))


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
        Figures of `voxhop.training.localvqe.judge.validate` by path.
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
        model = load_model(path).eval()
        if not isinstance(model, LocalVQE):
            raise ArgumentError(f"{path}: {type(model).__name__}, expected a LocalVQE")
        front = front_end_of(model.config)
        scores[str(path)] = validate(partial(run_model, model, front=front), clips)
    return scores
