"""Weights a run starts from, and models of trained checkpoints."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from voxhop.errors import ArgumentError
from voxhop.export.model_file import open_model_file
from voxhop.training.config import RunConfig, TrainingConfig, from_table, to_table
from voxhop.training.recipes import recipe_named, recipe_of
from voxhop.training.recipes.localvqe import TEMPERATURE  # noqa: F401 - has its name here, too

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from voxhop.training.recipes.recipe import Recipe

_log = logging.getLogger(__name__)


def initial_model(config: RunConfig) -> nn.Module:
    """Build the model, with the configured initial weights where there are any.

    Raises
    ------
    ArgumentError
        If the file's tensors do not fit the configured model.
    """
    model = recipe_of(config).model()
    if not config.initial:
        return model
    path, own = Path(config.initial), model.state_dict()
    taken = _taken(config, own)
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


def new_parameters(config: RunConfig, model: nn.Module) -> set[str]:
    """Return the names of the parameters that a run begins with random values of."""
    names = {name for name, _ in model.named_parameters()}
    return names - set(_taken(config, model.state_dict())) if config.initial else names


def _taken(config: RunConfig, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    skipped = config.initial_skip
    weights = recipe_of(config).fitted(read_weights(Path(config.initial)))
    return {
        name: tensor
        for name, tensor in weights.items()
        if name in own and not (skipped and name.startswith(skipped))
    }


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint (``.pt``) or of a model file (``.gguf``).

    Of a running training's ``last.pt`` these are the averaged weights.

    The alignment comes back at the temperature it is trained at: with a folded one
    its weights would be ten times larger, and the same rate a ten times smaller step.
    """
    if path.suffix == ".gguf":
        recipe = recipe_of_file(path)
        weights = dict(recipe.read(path).state_dict())
    else:
        content = torch.load(path, map_location="cpu", weights_only=True)
        recipe = recipe_named(_table(content).get("recipe", "localvqe"))
        if "average" in content:
            part = content["objective"] | content["average"]
            content = {k.removeprefix("model."): v for k, v in part.items() if k[:6] == "model."}
        weights = dict(content.get("model_state_dict", content))
    return recipe.trainable(weights)


def load_model(path: Path) -> nn.Module:
    """Load a model from a model file, a run's checkpoint, or a state dict of the released shape."""
    if path.suffix == ".gguf":
        return recipe_of_file(path).read(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    table = _table(content)
    config = from_table(RunConfig, table, where=str(path)) if table else TrainingConfig()
    model = recipe_of(config).model()
    model.load_state_dict(read_weights(path), strict=False)
    return model


def _table(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration inside a checkpoint; empty for a bare state dict."""
    found: dict[str, Any] = content.get("config", {})
    return found


def recipe_of_file(path: Path) -> type[Recipe[Any]]:
    """Return the recipe of a model file or checkpoint; a bare state dict is LocalVQE's."""
    if path.suffix != ".gguf":
        content = torch.load(path, map_location="cpu", weights_only=True)
        return recipe_named(_table(content).get("recipe", "localvqe"))
    field = open_model_file(path).fields.get("general.architecture")
    return recipe_named("" if field is None else field.contents())


def best_content(model: nn.Module, config: RunConfig, figures: dict[str, float]) -> dict[str, Any]:
    """Content of ``best.pt``: weights under their published names, and where from."""
    return {
        "model_state_dict": {k: v.detach().cpu().clone() for k, v in model.state_dict().items()},
        "config": to_table(config),
        "figures": figures,
    }
