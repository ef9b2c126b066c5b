"""Weights a run starts from, and models of trained checkpoints."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from voxhop.errors import ArgumentError
from voxhop.reference import LocalVQE, LocalVQEConfig
from voxhop.training.config import TrainingConfig, from_table, to_table

if TYPE_CHECKING:
    from typing import Any

TEMPERATURE = 0.1
"""Of the alignment in training; model files hold weights divided by it."""

_log = logging.getLogger(__name__)


def initial_model(config: TrainingConfig) -> LocalVQE:
    """Build the model, with the configured initial weights where there are any.

    Raises
    ------
    ArgumentError
        If the file's tensors do not fit the configured model.
    """
    model = LocalVQE(config.model)
    if not config.initial:
        return model
    path, own = Path(config.initial), model.state_dict()
    skipped = config.initial_skip
    taken = {
        name: tensor
        for name, tensor in read_weights(path).items()
        if name in own and not (skipped and name.startswith(skipped))
    }
    for name, tensor in taken.items():
        if tensor.shape != own[name].shape:
            raise ArgumentError(
                f"{path}: {name}: shape {tuple(tensor.shape)}, expected {tuple(own[name].shape)}"
            )
    if not taken:
        raise ArgumentError(f"{path}: holds no tensor of the model, or all are skipped")
    model.load_state_dict(taken, strict=False)
    _log.info("%s: %d of %d tensors taken", path, len(taken), len(own))
    return model


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint (``.pt``) or of a model file (``.gguf``).

    Of a running training's ``last.pt`` these are the averaged weights.

    The alignment comes back at the temperature it is trained at: with a folded one
    its weights would be ten times larger, and the same rate a ten times smaller step.
    """
    if path.suffix == ".gguf":
        from voxhop.export import read_gguf  # noqa: PLC0415 - needs the gguf package

        weights = dict(read_gguf(path).state_dict())
    else:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if "average" in content:
            part = content["objective"] | content["average"]
            content = {k.removeprefix("model."): v for k, v in part.items() if k[:6] == "model."}
        weights = dict(content.get("model_state_dict", content))
    temperature = weights.get("align.temperature")
    if temperature is not None and float(temperature) == 1.0:
        for name in ("align.conv.1.weight", "align.conv.1.bias"):
            weights[name] = weights[name] * TEMPERATURE
        weights["align.temperature"] = torch.full_like(temperature, TEMPERATURE)
    return weights


def load_model(path: Path) -> LocalVQE:
    """Load a model from a model file, a run's checkpoint, or a state dict of the released shape."""
    if path.suffix == ".gguf":
        from voxhop.export import read_gguf  # noqa: PLC0415

        return read_gguf(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    if "config" in content:
        table = content["config"]["model"]
        config = from_table(LocalVQEConfig, table, where=str(path))
    else:
        config = LocalVQEConfig()
    model = LocalVQE(config)
    model.load_state_dict(read_weights(path), strict=False)
    return model


def best_content(
    model: LocalVQE, config: TrainingConfig, figures: dict[str, float]
) -> dict[str, Any]:
    """Content of ``best.pt``: weights under their published names, and where from."""
    return {
        "model_state_dict": {k: v.detach().cpu().clone() for k, v in model.state_dict().items()},
        "config": to_table(config),
        "figures": figures,
    }
